"""What the core passes is fixed for each kind: other parameters, and options that no recipe can set, are refused."""

from __future__ import annotations

import functools
import inspect

import pytest

import sea_toolkit as sea
from sea_toolkit.registry.forms import FUNCTIONS, IN_CONSTRAINTS, METHODS, RESERVED
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.registry.records import KINDS
from sea_toolkit.registry.signatures import check_signature
from sea_toolkit.runs.recipe import ConstraintSpec, EnergySpec, PluginSpec, SamplerSpec
from tests.registry.hub_sources import names_of

FITTING = {
    "energy": [
        *("response", "response, /", "response, *, size: int = 1", "response, *, text: str"),
        *("prompts, texts", "texts, prompts", "texts", "completions, prompts", "prompt, text", "completion"),
    ],
    "relaxation": ["logits", "logits, noise", "points, space", "points, space, noise", "logits, noise=None, *, t=1.0"],
    "schedule": ["progress, step", "progress, _step, *, peak: float", "_progress, _step, /"],
    "initializer": ["problem, noise", "problem, noise, keep_cache", "problem, _noise, *, text: str"],
    "recipe": ["", "*, weight: float = 1.0"],
    "engine": ["job, tell", "job, tell, *, address: str | None = None"],
}
UNFIT = {
    "energy": {
        "": "f(response, *, …)",
        "prompts": "f(prompts, texts, *, …)",
        "prompt": "f(prompt, text, *, …)",
        "answers": "f(response, *, …) or f(prompts, texts, *, …)",
        "prompt, texts": "f(prompts, texts, *, …)",
        "prompts, texts, reference": "f(prompts, texts, *, …)",
        "response, a, b": "f(response, *, …)",
        "response, context": "f(response, *, …)",
        "prompts, texts, response": "f(prompts, texts, *, …)",
        "self, response": "f(response, *, …)",
    },
    "relaxation": {
        "weights": "f(logits, *, …)",
        "noise, logits": "f(logits, noise, *, …)",
        "points": "f(points, space, *, …)",
        "logits, space": "f(logits, *, …)",
        "logits, noise, /": "",
    },
    "schedule": {
        "step, progress": "f(progress, step, *, …)",
        "progress": "f(progress, step, *, …)",
        "t, n": "f(progress",
    },
    "initializer": {"noise, problem": "f(problem, noise, *, …)", "problem": "f(problem, noise, *, …)"},
    "sampler": {"problem, noise": "sea_toolkit.Sampler"},
    "recipe": {"weight": "f(*, …)"},
    "model": {"": "sea_toolkit.NamedModel"},
    "engine": {"job": "f(job, tell, *, …)", "tell, job": "f(job, tell, *, …)"},
}


def function(signature: str):
    """A function of that signature."""
    namespace: dict[str, object] = {}
    exec(f"def f({signature}): ...", namespace)
    return namespace["f"]


def plugin(kind: str, body: str, head: str = "") -> str:
    """A plugin whose hook for a kind has these lines."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f"import sea_toolkit as sea\n{head}\n\n@sea.hookimpl\ndef {KINDS[kind]}(register):\n{lines}\n"


def both(install, source: str):
    """The plugin's record without a load, and after one."""
    install("sea-form", source)
    hub = PluginHub.discover()
    hub.inspect()
    before = hub.records[-1]
    hub = PluginHub.discover()
    hub.verify()
    return before, hub.records[-1]


@pytest.mark.parametrize("kind", FITTING)
def test_the_documented_signatures_are_taken(kind):
    for signature in FITTING[kind]:
        check_signature(function(signature), kind)


@pytest.mark.parametrize("kind", UNFIT)
def test_other_parameters_are_refused_with_the_right_signature(kind):
    for signature, expected in UNFIT[kind].items():
        with pytest.raises(sea.PluginError) as caught:
            check_signature(function(signature), kind)
        assert "f()" in str(caught.value)
        assert expected in str(caught.value), signature


def test_a_partial_that_has_filled_the_cores_parameter_is_refused():
    for filled in (
        functools.partial(function("response, *, size=1"), 3),
        functools.partial(function("response"), response=3),
    ):
        with pytest.raises(sea.PluginError, match=r"f\(\)"):
            check_signature(filled, "energy")
    check_signature(functools.partial(function("size, response"), 3), "energy")


@pytest.mark.parametrize(
    "body",
    [
        '@register("e")\ndef f(texts, labels): ...',
        'register("e", f)',
        'register("e")(f)',
        'register("e", target="sea_form:f")',
    ],
)
def test_a_load_and_a_look_at_the_source_both_find_it(install, body):
    before, after = both(install, plugin("energy", body, head="def f(texts, labels): ..."))
    for record in (before, after):
        assert record.status == "broken"
        assert "f() takes (texts, labels)" in record.error
        assert "f(prompts, texts, *, …)" in record.error


def test_the_source_is_not_blamed_for_what_a_decorator_may_change(install):
    head = "import functools\ndef swap(f):\n    return lambda response: f(1, response)\n"
    before, after = both(install, plugin("energy", '@register("e")\n@swap\ndef f(a, b): ...', head))
    assert (before.status, after.status) == ("not loaded", "ok")


METHOD_FAULTS = {
    ("energy", "bind"): "class C:\n    def bind(self): ...",
    ("schedule", "at"): "class C:\n    def at(self, progress): ...",
    (
        "sampler",
        "step",
    ): "class C:\n    def init(self, p, n): ...\n    def step(self, p): ...\n    def current(self, p, s): ...",
    ("initializer", "write"): "class C:\n    def write(self, problem, noise): ...",
    ("model", "pull"): "class C:\n    def find(self): ...\n    def pull(self): ...\n    def remove(self): ...",
}


@pytest.mark.parametrize(("kind", "method"), METHOD_FAULTS)
def test_methods_that_take_something_else_are_refused(kind, method):
    namespace: dict[str, type] = {}
    exec(METHOD_FAULTS[kind, method], namespace)
    right = ", ".join(["self", *METHODS[kind][method]])
    with pytest.raises(sea.PluginError) as caught:
        check_signature(namespace["C"], kind)
    assert f"{method} of class C takes (" in str(caught.value)
    assert f"def {method}({right})" in str(caught.value)
    delattr(namespace["C"], method)
    with pytest.raises(sea.PluginError, match=f"class C has no method {method}"):
        check_signature(namespace["C"], kind)


def test_the_methods_are_those_of_the_base_classes():
    bases = {"energy": sea.Energy, "sampler": sea.Sampler, "initializer": sea.Initializer, "model": sea.NamedModel}
    for kind, base in bases.items():
        for method, passed in METHODS[kind].items():
            assert tuple(inspect.signature(inspect.getattr_static(base, method)).parameters) == ("self", *passed)


@pytest.mark.parametrize("kind", RESERVED)
def test_an_option_of_a_name_that_the_recipe_keeps_is_refused(install, kind):
    filled = ", ".join([*FUNCTIONS[kind][0], "*"]) if kind in FUNCTIONS else ""
    methods = "\n".join(
        f"    def {name}(self, {', '.join(passed)}): ..." for name, passed in METHODS.get(kind, {}).items()
    )
    for option in sorted(RESERVED[kind]):
        forms = [f'@register("e")\nclass C:\n    def __init__(self, {option}: float = 1.0): ...\n{methods}']
        if kind in FUNCTIONS:
            forms = [f'@register("e")\ndef f({filled}, {option}: float = 1.0): ...']
        namespace: dict[str, object] = {}
        exec("\n".join(line for form in forms for line in form.splitlines() if "@register" not in line), namespace)
        with pytest.raises(sea.PluginError, match=f"option '{option}' of .* can never be set"):
            check_signature(namespace.get("C") or namespace["f"], kind)
    before, after = both(install, plugin(kind, forms[0]))
    assert "can never be set" in before.error
    assert "can never be set" in after.error


def test_the_kept_names_are_the_keys_of_the_recipe():
    assert RESERVED["energy"] == set(EnergySpec.model_fields)
    assert RESERVED["energy"] - {"scale", "want", "maximin", "compass"} | IN_CONSTRAINTS == set(
        ConstraintSpec.model_fields
    )
    assert RESERVED["sampler"] == set(SamplerSpec.model_fields)
    assert RESERVED["initializer"] == set(PluginSpec.model_fields)
    assert RESERVED["relaxation"] == {*PluginSpec.model_fields, "top_k"}


async def waits(response): ...
def yields(response):
    yield response


class Waits:
    async def bind(self, context): ...


@pytest.mark.parametrize(
    ("kind", "target", "message"),
    [
        ("energy", waits, "waits.. is asynchronous"),
        ("energy", functools.partial(waits), "waits.. is asynchronous"),
        ("energy", yields, "yields.. is a generator"),
        ("energy", Waits, "bind of class Waits is asynchronous"),
        ("energy", sea.Energy, "class Energy is abstract"),
        ("sampler", sea.Sampler, "class Sampler is abstract"),
        ("sampler", type("Walk", (), dict.fromkeys(METHODS["sampler"], lambda self, *given: None)), "is no sampler"),
        ("initializer", type("Writes", (), {"write": lambda self, *given: None}), "is no initializer"),
        ("relaxation", type("Soft", (), {"__call__": lambda self, logits: logits}), "a relaxation is a function"),
        ("schedule", type("Half", (), {"at": lambda self, progress, step: 0.5}), "has no method observe"),
    ],
)  # fmt: skip
def test_what_a_run_could_not_use_is_refused_when_it_is_registered(kind, target, message):
    with pytest.raises(sea.PluginError, match=message):
        check_signature(target, kind)


def test_an_energys_option_that_a_constraint_would_hide_is_a_warning(install):
    body = '@register("e")\ndef f(response, *, max: float = 1.0): ...'
    for record in both(install, plugin("energy", body)):
        assert not record.failed
        assert record.warnings == [
            "option 'max' of energy 'e' cannot be set where it is a constraint: the recipe keeps that key there"
        ]
        assert names_of(record) == {"energy": ["e"]}
