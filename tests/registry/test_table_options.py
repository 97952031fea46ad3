"""Options that are tables, members of an enumeration or made anew can be set and are shown; others are refused."""

from __future__ import annotations

import enum
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, NewType

import numpy as np
import pydantic
import pytest
import torch
from torch import Tensor, nn
from typing_extensions import TypedDict

import sea_toolkit as sea
from sea_toolkit.cli.describe import description
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.registry.items import Item
from sea_toolkit.registry.option_model import OptionModel
from sea_toolkit.registry.options import options_of
from sea_toolkit.registry.records import PluginRecord
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.runs.resolver import Resolver
from tests.registry.hub_sources import energy


@dataclass
class Limits:
    low: float
    high: float = 1.0


class Span(pydantic.BaseModel):
    low: float
    inner: Limits | None = None


class Pair(NamedTuple):
    low: float
    high: float


class Entry(TypedDict):
    word: str


class Color(enum.Enum):
    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    ONE = 1
    TWO = 2


Score = NewType("Score", Limits)


def made(function, **options: Any) -> dict[str, Any]:
    """What the function would be called with, from the options as a recipe has them, there and back through JSON."""
    hub = PluginHub.discover(plugins=[])
    item = Item("energy", "it", "", PluginRecord("p", "d", "1", ""), function)
    recipe = Recipe.parse({"energies": [{"name": "it", **options}]})
    recipe = Recipe.parse(json.loads(recipe.model_dump_json(exclude_unset=True)))
    built = Resolver(hub).build(item, recipe.energies[0].options, "energies[0]")
    return built.keywords


TABLES = {
    "dataclass": (Limits, {"low": 0.5}, Limits(0.5)),
    "model": (Span, {"low": 0.5, "inner": {"low": 1.0}}, Span(low=0.5, inner=Limits(1.0))),
    "optional model": (Span | None, {"low": 0.5}, Span(low=0.5)),
    "typed dict": (Entry, {"word": "rain"}, {"word": "rain"}),
    "named tuple": (Pair, {"low": 0.0, "high": 2.0}, Pair(0.0, 2.0)),
    "new type": (Score, {"low": 0.5}, Limits(0.5)),
    "any": (Any, {"what": [1, {"ever": "x"}]}, {"what": [1, {"ever": "x"}]}),
    "any of that key": (Any, {"schedule": "mine"}, {"schedule": "mine"}),
    "dict": (dict[str, float], {"a": 1.0}, {"a": 1.0}),
    "list of models": (list[Span], [{"low": 1.0}], [Span(low=1.0)]),
    "number or table": (float | dict[str, float], {"a": 1.0}, {"a": 1.0}),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_table_can_be_set_and_comes_back_from_the_recipe(case):
    annotation, value, expected = TABLES[case]

    def f(response, *, v): ...

    f.__annotations__["v"] = annotation
    assert made(f, v=value) == {"v": expected}


def test_a_number_or_table_still_takes_a_schedule():
    def f(response, *, v: float | dict[str, float]): ...

    assert made(f, v={"schedule": "linear", "start": 0.0, "end": 1.0})["v"].at(0.5, 1) == 0.5


@pytest.mark.parametrize(
    ("annotation", "value", "shown"),
    [
        (Color, "blue", "'red' | 'green'"),
        (Color | None, "blue", "'red' | 'green' | none"),
        (Level, 3, "1 | 2"),
        (list[Color], ["blue"], "list['red' | 'green']"),
        (Literal["a", "b"], "c", "'a' | 'b'"),
        (Limits, {"lo": 1.0}, "table of low: float, high: float"),
        (Span, 3, "table of low: float, inner: table | none"),
    ],
)
def test_a_wrong_value_and_a_description_show_what_there_is(annotation, value, shown):
    def f(response, *, v): ...

    f.__annotations__["v"] = annotation
    (option,) = options_of(f, "energy")
    assert option.type == shown
    with pytest.raises(sea.RecipeError) as caught:
        OptionModel([option]).check({"v": value}, "here")
    assert f"expected: {shown} (" in str(caught.value)
    assert "instance of" not in str(caught.value)


@pytest.mark.parametrize(
    "annotation",
    [
        *(torch.dtype, Callable[[str], float], type, type[nn.Module], Tensor, Tensor | None, nn.Module, np.ndarray),
        *(list[Tensor], dict[str, Callable[..., Any]], tuple[Tensor, ...], torch.device),
    ],
    ids=str,
)
def test_what_no_recipe_can_write_is_refused(annotation):
    def f(response, *, v=None): ...

    f.__annotations__["v"] = annotation
    with pytest.raises(sea.PluginError, match=r"option 'v' is .*, and no recipe can write one"):
        OptionModel(options_of(f, "energy"))
    f.__annotations__["v"] = annotation | str | None if not isinstance(annotation, str) else annotation
    assert OptionModel(options_of(f, "energy")).check({"v": "text"}, "")["v"] == "text"


def test_a_load_shows_what_no_recipe_can_write_and_no_message_names_a_made_up_module(tmp_path, install):
    head = "import dataclasses\nimport torch\n@dataclasses.dataclass\nclass PM:\n    a: int\nclass Odd: ...\n"
    install("sea-type", energy("typed", head=head, function="def f(response, *, factor: torch.dtype = torch.float32):"))
    file = tmp_path / "mine.py"
    signature = "def f(response, *, factor: set[PM] | None = None, odd: 'list[Odd] | int' = 1):"
    file.write_text(energy("mine", head=head, function=signature))
    hub = PluginHub.discover(files=[file])
    hub.verify()
    record = next(record for record in hub.records if record.distribution == "sea-type")
    assert record.status == "broken"
    assert "option 'factor' is dtype" in record.error
    item = hub.get("energy", "mine")
    with pytest.raises(sea.RecipeError) as caught:
        item.build({"factor": 3, "odd": "x"}, "here")
    assert "_sea_plugin" not in str(caught.value)
    assert "_sea_plugin" not in json.dumps([o.type for o in item.options])


def test_a_class_of_a_file_is_named_without_its_made_up_module(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("import sea_toolkit as sea\nclass Words(sea.Energy):\n    def bnd(self, context): ...\n")
    hub = PluginHub.discover(plugins=[], files=[file])
    hub.load(tolerant=True)
    assert "class Words " in hub.records[-1].error
    assert "_sea_plugin" not in hub.records[-1].error


def test_defaults_that_a_class_makes_are_shown_as_values_and_made_anew():
    @dataclass
    class Words:
        words: list[str] = field(default_factory=lambda: ["rain"])
        path: Path = Path("/tmp/x")
        color: Color = Color.RED

        def bind(self, context): ...

    class Model(pydantic.BaseModel):
        words: list[str] = pydantic.Field(default_factory=lambda: ["rain"])

        def bind(self, context): ...

    for target in (Words, Model):
        item = Item("energy", "it", "", PluginRecord("p", "d", "1", ""), target)
        first, second = item.build(), item.build()
        assert first.words == second.words == ["rain"]
        assert first.words is not second.words
        assert item.build({"words": ["sun"]}).words == ["sun"]
        assert description(item)["options"][0]["default"] == ["rain"]
    item = Item("energy", "it", "", PluginRecord("p", "d", "1", ""), Words)
    assert [o["default"] for o in description(item)["options"]] == [["rain"], "/tmp/x", "red"]


def test_summaries_of_partials_and_dataclasses_are_their_own():
    def f(size, response):
        """Count the words."""

    @dataclass
    class Undocumented:
        size: int = 1

        def bind(self, context): ...

    class Plugin:
        @sea.hookimpl
        def sea_register_energies(self, register):
            register("partial", functools.partial(f, 3))
            register("plain", Undocumented)
            register("derived", type("Derived", (sea.Energy,), {"bind": lambda self, context: None}))

    hub = PluginHub.discover(plugins=[])
    with hub.temporarily(Plugin()) as record:
        assert record.provides["energy"] == {"partial": "Count the words.", "plain": "", "derived": ""}
        assert hub.get("energy", "partial").doc == "Count the words."


def test_an_option_without_annotation_is_a_warning_that_says_how_to_annotate(install):
    signature = "def f(response, *, prices={'rain': 2.0}, words=('a',), any=None, factor=1.0):"
    install("sea-bare", energy("bare", function=signature))
    hub = PluginHub.discover()
    hub.verify()
    record = hub.records[-1]
    assert [warning.rpartition(": ")[2] for warning in record.warnings] == [
        "annotate as dict[str, float]",
        "annotate as tuple[str, ...]",
        "annotate as float, str or whatever it takes",
    ]
    item = hub.get("energy", "bare")
    assert item.build({"prices": {"sun": 1.0}}).keywords["prices"] == {"sun": 1.0}
    with pytest.raises(sea.RecipeError, match=r"option 'prices' is 3 \(int\)\nexpected: dict"):
        item.build({"prices": 3})
