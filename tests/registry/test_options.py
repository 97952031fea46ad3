"""Options from signatures: which there are, what fits, and what the messages say."""

from __future__ import annotations

import enum
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import Field

import sea_toolkit as sea
from sea_toolkit.registry.option_model import OptionModel
from sea_toolkit.registry.options import Number, options_of
from sea_toolkit.registry.signatures import check_signature


class Ramp:
    """A schedule by its looks: a straight line."""

    def __init__(self, start: float = 0.0, end: float = 1.0):
        self.start, self.end = start, end

    def at(self, progress: float, step: int) -> float:
        """The value on the line."""
        return self.start + progress * (self.end - self.start)


class Size(enum.Enum):
    """Two sizes."""

    SMALL = "small"
    LARGE = "large"


def energy(
    response,
    *,
    target: Annotated[float, Field(ge=0, lt=100)],
    mode: Literal["mean", "last"] = "mean",
    words: list[str] = [],  # noqa: B006
    pair: tuple[float, float] = (0.0, 1.0),
    limit: int | None = None,
    file: Optional[Path] = None,  # noqa: UP045
    size: Size = Size.SMALL,
    on: bool = False,
    plain=0.5,
    whole=3,
    thing: Any = None,
):
    """An energy with every type of option.

    Args:
        target: how many tokens are wanted,
            end of text included.
        mode (str): what to pool.

    Returns:
        on: not an argument.
    """
    return target, mode


class Sampler:
    """A sampler.

    Args:
        chains: how many.
    """

    def __init__(
        self, chains: int, *, rate: Number = 0.1, beta: Annotated[Number, Field(gt=0)] = 1.0, top: int | None = None
    ):
        self.chains, self.rate = chains, rate


def check(function, kind="energy", /, **given):
    """The options as they would be bound."""
    return OptionModel(options_of(function, kind)).check(given, "energies[1] (reward)")


def test_a_functions_options_are_its_keyword_only_parameters():
    options = {option.name: option for option in options_of(energy, "energy")}
    assert "response" not in options
    assert {name: option.type for name, option in options.items()} == {
        "target": "float ≥ 0 < 100",
        "mode": "'mean' | 'last'",
        "words": "list[str]",
        "pair": "tuple[float, float]",
        "limit": "int | none",
        "file": "Path | none",
        "size": "'small' | 'large'",
        "on": "bool",
        "plain": "float",
        "whole": "int | float",
        "thing": "any",
    }
    assert [name for name, option in options.items() if option.required] == ["target"]
    assert [name for name, option in options.items() if option.schedulable] == ["target", "limit", "plain", "whole"]
    assert options["target"].doc == "how many tokens are wanted, end of text included."
    assert options["mode"].doc == "what to pool."
    assert options["on"].doc == ""
    assert (options["plain"].default, options["target"].default) == (0.5, None)


def test_a_classes_options_are_its_constructors_parameters():
    options = {option.name: option for option in options_of(Sampler, "sampler")}
    assert list(options) == ["chains", "rate", "beta", "top"]
    assert [option.schedulable for option in options.values()] == [False, True, True, False]
    assert options["rate"].type == "float | schedule"
    assert options["beta"].type == "float | schedule > 0"
    assert (options["chains"].doc, options["chains"].required) == ("how many.", True)

    @dataclass
    class Made:
        """Its constructor is written by the decorator."""

        size: int = 2

    assert options_of(Made, "sampler")[0].type == "int"
    assert options_of(type("Bare", (), {}), "sampler") == []


@pytest.mark.parametrize(
    ("given", "bound"),
    [
        ({"target": 3}, 3.0),
        ({"target": 0.5, "mode": "last"}, "last"),
        ({"target": 1, "words": ["a"]}, ["a"]),
        ({"target": 1, "pair": [1, 2.5]}, (1.0, 2.5)),
        ({"target": 1, "limit": None}, None),
        ({"target": 1, "file": "a/b"}, Path("a/b")),
        ({"target": 1, "file": Path("c")}, Path("c")),
        ({"target": 1, "size": "large"}, Size.LARGE),
        ({"target": 1, "size": Size.LARGE}, Size.LARGE),
        ({"target": 1, "on": True}, True),
        ({"target": 1, "plain": 2}, 2.0),
        ({"target": 1, "whole": 2.5}, 2.5),
        ({"target": 1, "thing": {"a": object}}, {"a": object}),
    ],
)
def test_what_fits(given, bound):
    name = list(given)[-1]
    checked = check(energy, **given)
    assert checked[name] == bound
    assert type(checked[name]) is type(bound)
    assert len(checked) == 11, "the defaults are filled in"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"target": "abc"}, "float ≥ 0 < 100"),
        ({"target": "3"}, "float"),
        ({"target": True}, "float"),
        ({"target": None}, "float"),
        ({"target": -1}, "greater than or equal to 0"),
        ({"target": 100}, "less than 100"),
        ({"mode": "first"}, "'mean' | 'last'"),
        ({"words": "word"}, r"list\[str\]"),
        ({"words": ["a", 1]}, r"list\[str\]"),
        ({"pair": [1]}, r"tuple\[float, float\]"),
        ({"limit": True}, r"int \| none"),
        ({"limit": 1.5}, r"int \| none"),
        ({"file": 3}, r"Path \| none"),
        ({"size": "huge"}, "'small' | 'large'"),
        ({"on": 1}, "bool"),
        ({"on": "yes"}, "bool"),
        ({"plain": "x"}, "float"),
        ({"whole": True}, r"int \| float"),
    ],
)
def test_what_does_not_fit(given, expected):
    (name,) = given
    with pytest.raises(sea.RecipeError, match=expected.replace("' | '", r"' \| '")) as caught:
        check(energy, **{"target": 1, **given})
    assert str(caught.value).startswith(f"energies[1] (reward): option '{name}'")
    assert repr(given[name]) in str(caught.value)


def test_the_place_in_a_list_is_told():
    with pytest.raises(sea.RecipeError, match=r"option 'words'\[1\] is \['a', 1\] \(list\)"):
        check(energy, target=1, words=["a", 1])


def test_unknown_and_missing_options():
    with pytest.raises(
        sea.RecipeError, match=r"energies\[1\] \(reward\): unknown option 'targt'\ntry: did you mean 'target'"
    ):
        check(energy, targt=1)
    with pytest.raises(sea.RecipeError, match=r"unknown option 'response'"):
        check(energy, target=1, response=1)
    with pytest.raises(sea.RecipeError, match=r"energies\[1\] \(reward\): missing option target \(float ≥ 0 < 100\)"):
        check(energy)

    def two(response, *, a: int, b: str): ...

    with pytest.raises(sea.RecipeError, match=r"missing options a \(int\), b \(str\)"):
        check(two)


def test_where_a_schedule_may_stand():
    ramp = Ramp(1.0, 2.0)
    assert check(energy, target=1, limit=ramp)["limit"] is ramp
    assert check(Sampler, "sampler", chains=1, rate=ramp)["rate"] is ramp
    for options in (
        check(energy, target=ramp),
        check(energy, "relaxation", target=ramp),
        {"target": check(Sampler, "sampler", chains=1, beta=ramp)["beta"]},
    ):
        assert options["target"].at(0.25, 3) == 1.25
    with pytest.raises(sea.RecipeError, match="'chains' is a schedule, but this option is fixed for a run"):
        check(Sampler, "sampler", chains=ramp)
    with pytest.raises(sea.RecipeError, match="'target' is a schedule, but this option is fixed for a run"):
        check(energy, "initializer", target=ramp)
    with pytest.raises(sea.RecipeError, match="'mode' is a schedule, but this option is not a number"):
        check(energy, target=1, mode=ramp)


def test_bounds_of_a_number_that_may_be_a_schedule():
    assert check(Sampler, "sampler", chains=1, beta=2)["beta"] == 2.0
    with pytest.raises(sea.RecipeError, match=r"'beta' is 0 \(int\)\nexpected: float \| schedule > 0"):
        check(Sampler, "sampler", chains=1, beta=0)


@pytest.mark.parametrize(("start", "end", "place"), [(0.0, 1.0, "0 at progress 0"), (1.0, -0.5, "-0.5 at progress 1")])
def test_a_schedule_that_begins_or_ends_outside_the_bounds_is_refused_before_a_run(start, end, place):
    with pytest.raises(sea.RecipeError, match=rf"option 'beta' is {place} of its schedule\nexpected: .* > 0"):
        check(Sampler, "sampler", chains=1, beta=Ramp(start, end))


def test_a_schedule_that_leaves_the_bounds_within_a_run_is_refused_there():
    class Dip:
        """Outside the bounds halfway."""

        def at(self, progress: float, step: int) -> float:
            """Below 0 at 0.5 only."""
            return -1.0 if progress == 0.5 else 1.0

    beta = check(Sampler, "sampler", chains=1, beta=Dip())["beta"]
    assert beta.at(0.4, 4) == 1.0
    with pytest.raises(
        sea.RecipeError, match=r"energies\[1\] \(reward\): option 'beta' is -1 at progress 0.5 of its schedule"
    ):
        beta.at(0.5, 5)


def test_bounds_inside_an_alternative_hold_for_schedules_too():
    def function(response, *, limit: Annotated[float, Field(gt=0)] | None = None): ...

    assert check(function, limit=None)["limit"] is None
    with pytest.raises(sea.RecipeError, match="'limit' is -1 at progress 1"):
        check(function, limit=Ramp(1.0, -1.0))


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_number_is_finite_unless_its_annotation_says_otherwise(value):
    def function(response, *, any_: Annotated[float, Field(allow_inf_nan=True)] = 0.0, list_: list[float] = []): ...  # noqa: B006

    assert repr(check(function, any_=value)["any_"]) == repr(value)
    for wrong in ({"plain": value}, {"target": value}, {"pair": [0.0, value]}):
        with pytest.raises(sea.RecipeError, match=r"finite number|less than|greater than"):
            check(energy, **{"target": 1, **wrong})
    with pytest.raises(sea.RecipeError, match=r"option 'list_'\[0\]"):
        check(function, list_=[value])


def test_all_mistakes_are_told_at_once():
    with pytest.raises(sea.RecipeError) as caught:
        check(energy, mode="first", on="yes", limit=Ramp(), size=Ramp(), colour=1)
    lines = str(caught.value).splitlines()
    assert lines[0] == "energies[1] (reward): 5 mistakes in the options"
    assert lines[1].startswith("- unknown option 'colour'; one of: ")
    assert lines[2].startswith("- option 'mode' is 'first' (str); expected: 'mean' | 'last' (")
    assert lines[3].startswith(
        "- option 'size' is a schedule, but this option is not a number; expected: 'small' | 'large'"
    )
    assert lines[4].startswith("- option 'on' is 'yes' (str); expected: bool (")
    assert lines[5] == "- missing option target (float ≥ 0 < 100); expected: a value for each option without a default"
    assert len(lines) == 6


def test_a_misspelt_option_is_not_missing_as_well():
    with pytest.raises(sea.RecipeError) as caught:
        check(energy, targt=1)
    assert "missing" not in str(caught.value)


def test_an_option_may_have_any_name():
    def function(response, *, schema: int = 1, model_config: int = 2, _private: int = 3, copy: int = 4): ...

    assert check(function, schema=5, _private=6) == {"schema": 5, "model_config": 2, "_private": 6, "copy": 4}


def test_a_default_is_bound_as_it_is():
    lock = object()

    def function(response, *, thing: Any = lock, target: Annotated[float, Field(gt=0)] = -1.0): ...

    assert check(function) == {"thing": lock, "target": -1.0}


def test_annotations_of_partials_wrapped_functions_and_callable_objects():
    def inner(response, *, size: int = 1, text: str = "n"):
        """Inner."""

    @functools.wraps(inner)
    def wrapped(*args, **kwargs):
        return inner(*args, **kwargs)

    class Callable:
        """An object that is called."""

        def __call__(self, response, *, size: int = 1):
            """Call it."""

    for target in (functools.partial(inner, text="m"), wrapped, Callable()):
        check_signature(target, "energy")
        assert check(target, size=2)["size"] == 2
        with pytest.raises(sea.RecipeError):
            check(target, size="2")


def test_an_annotation_that_cannot_be_resolved_is_the_plugins_fault():
    def lost(response, *, size: NotThere = 1): ...

    with pytest.raises(sea.PluginError, match="annotation 'NotThere' of option 'size' of lost"):
        options_of(lost, "energy")


def test_an_odd_default_or_value_can_be_shown():
    class Odd:
        def __repr__(self):
            raise ValueError("no")

    with pytest.raises(sea.RecipeError, match="'target' is a Odd"):
        check(energy, target=Odd())
    with pytest.raises(sea.RecipeError, match="x…"):
        check(energy, target="x" * 500)


def test_what_the_core_fills_may_be_named_for_type_checkers_only():
    def function(problem: OnlyForTypeCheckers, noise: AlsoUnknown, *, size: int = 1) -> Unknown: ...

    assert check(function, "initializer", size=2) == {"size": 2}


def test_an_annotation_that_pydantic_cannot_use_is_the_plugins_fault():
    from sea_toolkit.registry.items import Item
    from sea_toolkit.registry.records import PluginRecord

    def function(response, *, word: Annotated[str, Field(pattern="(")] = ""): ...

    item = Item("energy", "odd", "", PluginRecord("odd", "sea-odd", "1.0", ""), function)
    with pytest.raises(sea.PluginError, match=r"energy 'odd' \(plugin 'odd' of sea-odd 1.0\): ") as caught:
        item.build({})
    assert str(caught.value).count("sea-odd 1.0") == 1


def test_listing_options_does_not_need_pydantic_or_torch():
    import subprocess
    import sys

    code = (
        "import sys; from sea_toolkit.registry.options import options_of\n"
        "def f(response, *, a: float = 1.0): ...\n"
        "assert options_of(f, 'energy')\n"
        "from sea_toolkit.registry.hub import PluginHub; PluginHub.discover(plugins=[]).inspect()\n"
        "assert not {'torch', 'transformers', 'pydantic'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
