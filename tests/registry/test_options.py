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
from sea_toolkit.registry.options import Number, check_signature, checked_options, options_of


class Ramp:
    """A schedule by its looks."""

    def at(self, progress: float, step: int) -> float:
        """The progress itself."""
        return progress


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
    return checked_options(function, kind, given, "energies[1] (reward)")


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
        "size": "Size",
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
        ({"size": "huge"}, "Size"),
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
    ramp = Ramp()
    assert check(energy, target=ramp)["target"] is ramp
    assert check(energy, target=1, limit=ramp)["limit"] is ramp
    assert check(energy, "relaxation", target=ramp)["target"] is ramp
    assert check(Sampler, "sampler", chains=1, rate=ramp, beta=ramp)["beta"] is ramp
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


def test_annotations_of_partials_wrapped_functions_and_callable_objects():
    def inner(response, *, size: int = 1, name: str = "n"):
        """Inner."""

    @functools.wraps(inner)
    def wrapped(*args, **kwargs):
        return inner(*args, **kwargs)

    class Callable:
        """An object that is called."""

        def __call__(self, response, *, size: int = 1):
            """Call it."""

    for target in (functools.partial(inner, name="m"), wrapped, Callable()):
        check_signature(target)
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


def test_reading_options_does_not_need_pydantic_or_torch():
    import subprocess
    import sys

    code = (
        "import sys; from sea_toolkit.registry.options import options_of\n"
        "def f(response, *, a: float = 1.0): ...\n"
        "assert options_of(f, 'energy')\n"
        "assert not {'torch', 'transformers', 'pydantic'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
