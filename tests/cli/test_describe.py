"""`describe`: what an item does and its options."""

from __future__ import annotations

import json

import pytest

from tests.cli.commands import invoke
from tests.registry.hub_sources import BROKEN, energy


def run(*arguments: str):
    """The command's result."""
    return invoke("describe", *arguments)


def test_a_built_in(install):
    result = run("length")
    assert result.exit_code == 0
    for text in ("energy length", "built-in, sea-alignment:length", "target", "float ≥ 0 | schedule", "required"):
        assert text in result.stdout


def test_json(install):
    source = energy("mine", function="def f(response, *, factor: float = float('inf'), words: list[str] = []):")
    install("sea-one", source)
    (entry,) = json.loads(run("mine", "--json").stdout)["items"]
    assert list(entry) == [
        *("kind", "name", "qualified", "plugin", "distribution", "version", "summary", "doc", "facts", "options"),
        "schema",
    ]
    assert entry["qualified"] == "sea-one:mine"
    assert entry["options"] == [
        {
            "name": "factor",
            "type": "float",
            "default": "inf",
            "required": False,
            "schedulable": True,
            "doc": "",
        },
        {"name": "words", "type": "list[str]", "default": [], "required": False, "schedulable": False, "doc": ""},
    ]


SAMPLER = """
    from dataclasses import dataclass

    import sea_toolkit as sea
    from sea_toolkit.samplers.base import Law, Sampler

    @dataclass(frozen=True)
    class State:
        ids: object

    @sea.hookimpl
    def sea_register_samplers(register):
        @register("walk")
        class Walk(Sampler):
            '''A random walk.'''

            state_type = State
            law = Law.latent("The uniform law over all texts.")

            def init(self, problem, noise): ...
            def step(self, problem, state, noise): ...
            def current(self, problem, state): ...
"""


def test_a_samplers_law(install):
    install("sea-walk", SAMPLER)
    result = run("sea-walk:walk")
    assert "law: The uniform law over all texts." in result.stdout
    assert "needs gradient: none" in result.stdout
    assert "plugin 'sea_walk' of sea-walk 1.0" in result.stdout
    assert "no options" in result.stdout
    facts = json.loads(run("walk", "--json").stdout)["items"][0]["facts"]
    assert facts == {"law": "The uniform law over all texts.", "needs_gradient": "none", "reads_budget": "always"}


def test_a_sampler_that_is_none_is_the_plugins_fault(install):
    install("sea-walk", SAMPLER.replace("class Walk(Sampler)", "class Walk"))
    result = run("sea-walk:walk")
    assert result.exit_code == 1
    assert "plugin 'sea_walk' of sea-walk 1.0" in result.stderr
    assert "a class derived from sea_toolkit.Sampler" in result.stderr


def test_a_name_in_several_kinds(install):
    install("sea-one", energy("cosine"))
    found = [item["qualified"] for item in json.loads(run("cosine", "--json").stdout)["items"]]
    assert found == ["sea-one:cosine", "sea-alignment:cosine"]
    assert [i["kind"] for i in json.loads(run("cosine", "--kind", "schedule", "--json").stdout)["items"]] == [
        "schedule"
    ]


def test_a_clash_shows_both(install):
    install("sea-one", energy("same"))
    install("sea-two", energy("same"))
    assert len(json.loads(run("same", "--json").stdout)["items"]) == 2


def test_no_docstring(install):
    install("sea-bare", energy("bare").replace('"""The energy bare."""', "pass"))
    assert run("bare").exit_code == 0
    assert json.loads(run("bare", "--json").stdout)["items"][0]["doc"] == ""


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["cosin"], 2, "item 'cosin' does not exist\ntry: did you mean 'cosine'?"),
        (["length", "--kind", "schedule"], 2, "'length' is the name of: energy"),
        (["wanted"], 1, "comes from plugin 'sea_bad' of sea-bad 1.0, which is broken"),
    ],
)
def test_an_unknown_name(install, arguments, code, message):
    install("sea-bad", energy("wanted") + "\n" + BROKEN["raise"][0])
    result = run(*arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_each_thing_is_said_once(install):
    sections = "Args:\n            factor: nats per token.\n\n        Raises:\n            RecipeError: never."
    text = "A sentence that is much longer than a line of eighty characters, so that it goes on\n        here."
    source = energy("mine").replace(
        "The energy mine.", f"The energy mine.\n\n        {text}\n\n        {sections}\n        "
    )
    install("sea-one", source)
    shown = run("mine").stdout
    assert shown.count("nats per token") == 1
    assert shown.count("The energy mine.") == 1
    assert "Args" not in shown
    assert "Raises" not in shown
    sentence = "A sentence that is much longer than a line of eighty characters, so that it goes on here.\n"
    assert sentence in shown


def test_the_json_schema_of_the_options(install):
    install("sea-one", energy("mine", function="def f(response, *, factor: float = 1.0):"))
    (entry,) = json.loads(run("mine", "--json").stdout)["items"]
    assert entry["schema"] == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "options of sea-one:mine",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "factor": {
                "anyOf": [
                    {"type": "number"},
                    {"type": "object", "properties": {"schedule": {"type": "string"}}, "required": ["schedule"]},
                ],
                "default": 1.0,
            }
        },
    }
