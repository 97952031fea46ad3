"""The JSON schema of each built-in item's options: what it takes, the core takes, and the other way round."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

import sea_toolkit as sea

HUB = sea.PluginHub.discover(plugins=[])
ITEMS = HUB.items()
REQUIRED: dict[str, dict[str, Any]] = {
    "energy length": {"target": 12},
    "recipe keywords": {"words": ["rain"]},
    "recipe on-topic": {"text": "rain"},
    "recipe stay-close": {"draft": "It rains."},
    "energy regex": {"pattern": "a+"},
    "energy json-schema": {"schema": {"type": "object"}},
    "energy keywords": {"words": ["rain"]},
    "energy reward": {"model": "sentiment"},
    "energy ensemble": {"models": ["sentiment", {"model": "toxicity"}]},
    "energy worst-of": {"models": ["sentiment", {"model": "toxicity", "scale": -2.0, "offset": 1.0}]},
    "energy remote-reward": {"url": "http://localhost:8000"},
    "energy judge": {"question": "Is it kind?"},
    "energy implicit-reward": {"model": "./folder"},
    "energy policy-mixture": {"models": ["./folder", {"weight": -0.5}]},
    "energy classifier": {"model": "./folder", "target": "POSITIVE"},
    "energy verifier": {"function": "module:function"},
    "energy perplexity": {"model": "./folder"},
    "energy semantic-similarity": {"text": "a text", "model": "./folder"},
    "energy distance-to-draft": {"text": "a text"},
    "schedule constant": {"value": 1.0},
    "schedule piecewise": {"boundaries": [0.5], "values": [1.0, 0.5]},
    "initializer draft": {"text": "a text"},
    "initializer prefilled": {"text": "a text"},
    "initializer neighbors": {"run": "./folder"},
    "schedule adaptive": {"start": 0.1},
    "schedule plateau": {"start": 0.1},
} | {f"schedule {name}": {"start": 1.0, "end": 0.5} for name in ("linear", "cosine", "exponential", "cyclical")}
"""Options that have no default, of each item that has some."""


def valid(item) -> dict[str, Any]:
    """Options that the item takes."""
    wanted = {option.name for option in item.options if option.required}
    options = REQUIRED.get(f"{item.kind} {item.name}", {})
    assert wanted <= set(options), f"REQUIRED lacks {wanted} of {item.kind} {item.name}"
    return options


def fits(item, options) -> bool:
    """Whether the schema takes the options."""
    return jsonschema.Draft202012Validator(item.schema).is_valid(options)


def taken(item, options) -> bool:
    """Whether the core takes the options."""
    try:
        item.option_model.check(options, "here")
    except sea.RecipeError:
        return False
    return True


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: f"{item.kind}-{item.name}")
def test_schema_and_check_agree(item):
    jsonschema.Draft202012Validator.check_schema(item.schema)
    assert list(item.schema["properties"]) == [option.name for option in item.options]
    options = valid(item)
    with_defaults = options | {
        name: entry["default"] for name, entry in item.schema["properties"].items() if "default" in entry
    }
    for good in (options, with_defaults):
        assert fits(item, good)
        assert taken(item, good)
    candidates = [None, True, -1, 0, 0.5, 1, 3, 1.5, 2000, "", "mean", [], ["a"], [0.5], {}, {"no": "schedule"}]
    for option in item.options:
        for value in candidates:
            changed = options | {option.name: value}
            assert fits(item, changed) == taken(item, changed), (option.name, value)
        refuses = not all(fits(item, options | {option.name: value}) for value in candidates)
        assert refuses == (item.kind != "recipe"), "a value of a recipe's option is checked where it is put"
        if option.required:
            left_out = {name: value for name, value in options.items() if name != option.name}
            assert not fits(item, left_out)
    assert not fits(item, options | {"no_such_option": 1})


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: f"{item.kind}-{item.name}")
def test_a_schedule_fits_where_the_core_takes_one(item):
    class Level:
        """A schedule of one value."""

        def at(self, progress: float, step: int) -> float:
            """The value."""
            return 0.5

    for option in item.options:
        if option.table:
            continue
        changed = valid(item) | {option.name: {"schedule": "constant", "value": 0.5}}
        assert fits(item, changed) == option.schedulable
        if not option.schedulable:
            assert not taken(item, valid(item) | {option.name: Level()})


def test_a_type_that_json_cannot_write_fits_no_value():
    from sea_toolkit.registry.option_model import OptionModel
    from sea_toolkit.registry.options import options_of

    class Thing:
        """Only Python has it."""

    def function(response, *, thing: Thing | int | None = None, other: object = Thing()): ...

    function.__annotations__["thing"] = Thing | int | None
    schema = OptionModel(options_of(function, "energy")).schema()
    assert jsonschema.Draft202012Validator(schema).is_valid({"thing": None})
    assert not jsonschema.Draft202012Validator(schema).is_valid({"thing": "text"})
    assert "default" not in schema["properties"]["other"]
