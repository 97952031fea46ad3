"""The energy `verifier`: a Python function of the text that runs only where it was allowed by name."""

from __future__ import annotations

import json
import sys

import pytest

import sea_toolkit as sea
from sea_toolkit import api
from sea_toolkit.energies.verifier import FunctionJudge
from sea_toolkit.errors import NumericalError, PluginError, RecipeError, SeaError
from sea_toolkit.evaluation.compare import compare
from sea_toolkit.registry.allowed_code import load_code
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from tests.cli.commands import invoke
from tests.helpers import PROMPTS, hub, tiny_policy

SOURCE = """
import math
import numpy

def spaces(text): return text.count(" ")
def has_a(text): return "a" in text
def small(text): return numpy.float32(0.5)
def echo(prompt, text): return len(prompt) + len(text) / 1000
def mild(text, strength=2.0): return strength
def lost(text): return math.nan
def lucky(text): return math.inf
def never(text): return -math.inf
def words(text): return "good"
def nothing(text): pass
def vast(text): return 10**400
def fails(text): raise ValueError("no such unit")
def leaves(text): raise SystemExit(3)
def shouts(text): print("SHOUT"); return 1.0
def keyword(text, *, unit): return 1.0
def three(a, b, c): return 1.0
def empty(): return 1.0
class Box:
    @staticmethod
    def inner(text): return 7
number = 5
"""


@pytest.fixture
def checks(tmp_path, monkeypatch):
    """A module `my_checks` in the current folder."""
    (tmp_path / "my_checks.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    sys.modules.pop("my_checks", None)


def recipe(function="my_checks:spaces", **more):
    energies = [{"name": "reference"}, {"name": "verifier", "function": function, "weight": 3.0}]
    return {
        "energies": energies,
        "sampler": {"name": "best-of-n", "chains": 2, "budget": 4},
        "max_new_tokens": 6,
        **more,
    }


def run(function="my_checks:spaces", prompts=PROMPTS[:1], allow=None, **more):
    allowed = [function] if allow is None else allow
    return sea.align(
        list(prompts), recipe=recipe(function), policy=tiny_policy(), hub=hub(), allow_code=allowed, **more
    )


def scores(function, texts, prompts=None):
    return FunctionJudge(function, load_code(function)).score_text(prompts or [""] * len(texts), texts)


def test_its_value_is_a_reward(checks):
    (result,) = run()
    assert result.rewards["spaces"][1] == result.response.count(" ")
    assert result.terms["spaces"][1] == -result.response.count(" ")


def test_numbers_of_every_kind(checks):
    assert scores("my_checks:spaces", ["a b c", ""]) == [-2.0, 0.0]
    assert scores("my_checks:has_a", ["a", "b"]) == [-1.0, 0.0]
    assert scores("my_checks:small", ["a"]) == [-0.5]
    assert scores("my_checks:mild", ["a"]) == [-2.0]
    assert scores("my_checks:Box.inner", ["a"]) == [-7.0]
    assert scores("builtins:len", ["abc"]) == [-3.0]


def test_each_prompt_goes_with_its_texts(checks):
    (one, two) = run("my_checks:echo", prompts=["a", "the rain"])
    for result, length in ((one, 1), (two, 8)):
        assert result.rewards["echo"][1] == pytest.approx(length + len(result.response) / 1000)


@pytest.mark.parametrize("allow", [[], ["my_checks:has_a"], ["my_checks"]])
def test_a_function_that_is_not_allowed_is_never_imported(checks, allow):
    with pytest.raises(
        RecipeError, match=r"my_checks:spaces, which is not allowed[\s\S]*--allow-code my_checks:spaces"
    ):
        run(allow=allow)
    assert "my_checks" not in sys.modules


@pytest.mark.parametrize("place", ["recipe", "energies", "sampler"])
def test_no_key_of_a_recipe_allows_code(checks, place):
    data = recipe()
    {"recipe": data, "energies": data["energies"][1], "sampler": data["sampler"]}[place]["allow_code"] = [
        "my_checks:spaces"
    ]
    with pytest.raises(RecipeError):
        sea.align("a", recipe=data, policy=tiny_policy(), hub=hub())
    assert "my_checks" not in sys.modules


def test_any_plugin_that_names_code_has_to_ask(checks):
    class Runs(sea.Energy):
        def __init__(self, *, function: str) -> None:
            self.code = [function]

        def bind(self, context):
            raise AssertionError

    class Plugin:
        @sea.hookimpl
        def sea_register_energies(self, register):
            register("runs", Runs)

    plugins = sea.PluginHub.discover(plugins=())
    with (
        plugins.temporarily(Plugin()),
        pytest.raises(RecipeError, match=r"energy 'runs' would run .* my_checks:spaces"),
    ):
        sea.align("a", recipe={"energies": [{"name": "runs", "function": "my_checks:spaces"}]}, hub=plugins)


def test_a_constraint_asks_as_well(checks):
    data = recipe()
    limit = {key: value for key, value in data["energies"].pop().items() if key != "weight"}
    data["constraints"] = [{**limit, "min": 2.0}]
    data["energies"].append({"name": "length", "target": 4})
    with pytest.raises(RecipeError, match="--allow-code my_checks:spaces"):
        sea.align("a", recipe=data, policy=tiny_policy(), hub=hub())
    found = sea.align("a", recipe=data, policy=tiny_policy(), hub=hub(), allow_code=["my_checks:spaces"])
    spaces = found.response.count(" ")
    assert found.terms["spaces limit"][1] == -spaces
    assert found.limits["spaces limit"].after == spaces
    assert found.kept == (spaces >= 2)


@pytest.mark.parametrize(
    "name", ["my_checks", "my_checks:", ":spaces", "my_checks:spaces()", "a b:c", "__import__('os'):x"]
)
def test_what_names_no_function_is_refused(name):
    with pytest.raises(RecipeError, match="names no function"):
        Recipe.parse(recipe(name)) and hub().get("energy", "verifier").build({"function": name})


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("my_checks:gone", "cannot be imported"),
        ("no_such_module_here:f", "cannot be imported"),
        ("my_checks:number", "of type int"),
        ("my_checks:keyword", "cannot be called"),
        ("my_checks:three", "cannot be called"),
        ("my_checks:empty", "cannot be called"),
        ("my_checks:words", "returned a str"),
        ("my_checks:nothing", "returned a NoneType"),
        ("my_checks:vast", "returned no float .*OverflowError"),
        ("my_checks:fails", "failed on the text.*ValueError: no such unit"),
        ("my_checks:leaves", "failed on the text.*SystemExit"),
    ],
)
def test_a_faulty_function_is_named(checks, function, words):
    with pytest.raises(PluginError, match=words) as error:
        run(function)
    assert function in str(error.value)


@pytest.mark.parametrize("function", ["my_checks:lost", "my_checks:lucky"])
def test_what_is_no_energy_is_left_out_as_elsewhere(checks, function):
    with pytest.raises(NumericalError, match="verifier"):
        run(function)


def test_minus_infinity_forbids_a_text(checks):
    with pytest.raises(NumericalError, match="no text has a finite energy"):
        run("my_checks:never")


def test_a_run_that_goes_on_has_to_allow_it_again(checks, tmp_path):
    run(out=tmp_path / "run", prompts=["a"])
    saved = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert len(saved["identity"]["models"]["spaces"]) == 64
    sys.modules.pop("my_checks")
    (finished,) = api.resume(tmp_path / "run", hub=hub(), policy=tiny_policy())
    assert finished.prompt == "a"
    longer = {"hub": hub(), "policy": tiny_policy(), "budget": 8}
    with pytest.raises(RecipeError, match="--allow-code my_checks:spaces"):
        api.resume(tmp_path / "run", **longer)
    assert "my_checks" not in sys.modules  # neither to show its results nor to refuse to go on
    (checks / "my_checks.py").write_text(SOURCE + "\n")
    with pytest.raises(SeaError, match=r"models\.spaces"):
        api.resume(tmp_path / "run", **longer, allow_code=["my_checks:spaces"])
    (checks / "my_checks.py").write_text(SOURCE)
    (again,) = api.resume(tmp_path / "run", **longer, allow_code=["my_checks:spaces"])
    assert again.prompt == "a"


def test_compare_takes_it_where_it_is_allowed(checks, tmp_path):
    given = {
        "samplers": ["best-of-n"],
        "budgets": [2],
        "recipe": {"energies": recipe()["energies"]},
        "policy": tiny_policy(),
    }
    given |= {"hub": hub(), "max_new_tokens": 6, "out": tmp_path / "out"}
    with pytest.raises(RecipeError, match="--allow-code my_checks:spaces"):
        compare(PROMPTS[:2], **given)
    report = compare(PROMPTS[:2], **given, allow_code=["my_checks:spaces"])
    assert {"base", "best-of-n"} == {cell["method"] for cell in report.data()["cells"]}
    (checks / "my_checks.py").write_text(SOURCE + "\n")
    with pytest.raises(SeaError, match="spaces"):
        compare(PROMPTS[:2], **given, allow_code=["my_checks:spaces"])


def test_the_command_line(checks, tmp_path, monkeypatch):
    tiny_model().save_pretrained(tmp_path / "policy")
    tiny_tokenizer().save_pretrained(tmp_path / "policy")
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(checks))])
    words = [
        "align",
        "a",
        "--model",
        str(tmp_path / "policy"),
        "--max-new-tokens",
        "6",
        "--budget",
        "4",
        "--chains",
        "2",
    ]
    words += ["--json", "--out", str(tmp_path / "run"), "--energy", "verifier=2,function=my_checks:shouts"]
    refused = invoke(*words)
    assert refused.exit_code == 2, refused.output
    assert "--allow-code my_checks:shouts" in refused.stderr
    assert "my_checks" not in sys.modules
    found = invoke(*words, "--allow-code", "my_checks:shouts")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["rewards"]["shouts"]["after"] == 1.0
    assert "SHOUT" in found.stderr
    again = ["resume", str(tmp_path / "run"), "--json", "--budget", "8"]
    assert invoke(*again).exit_code == 2
    assert invoke(*again, "--allow-code", "my_checks:shouts").exit_code == 0
