"""The Schedule object: what it accepts, and whom it blames."""

from __future__ import annotations

import functools
import math
import subprocess
import sys
from fractions import Fraction

import pytest

from sea_toolkit.errors import PluginError, RecipeError
from sea_toolkit.registry.blame import Owner
from sea_toolkit.schedules import Schedule, value
from sea_toolkit.schedules.linear import linear
from sea_toolkit.schedules.piecewise import piecewise


def test_a_schedule_gives_its_value_at_each_point_of_the_run():
    schedule = Schedule("linear", functools.partial(linear, start=2.0, end=4.0))
    assert [schedule.at(p, s) for s, p in enumerate((0.0, 0.25, 1.0))] == [2.0, 2.5, 4.0]


def test_progress_is_clamped():
    schedule = Schedule("linear", functools.partial(linear, start=2.0, end=4.0))
    assert schedule.at(1.25, 10) == 4.0
    assert schedule.at(-0.1, 0) == 2.0


def test_the_step_is_handed_over():
    assert Schedule("count", lambda progress, step: 10.0 * step).at(0.5, 7) == 70.0


def test_whole_numbers_and_fractions_become_floats():
    for made in (3, Fraction(3, 1)):
        result = Schedule("three", lambda progress, step, made=made: made).at(0.0, 0)
        assert isinstance(result, float)
        assert result == 3.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None, "0.5", True, [1.0]])
def test_what_is_not_a_finite_number_is_blamed_on_the_plugin(bad):
    with pytest.raises(PluginError) as caught:
        Schedule("waves", lambda progress, step: bad, owner=Owner("schedule 'waves' of sea-waves 0.3"))
    message = str(caught.value)
    assert "'waves'" in message
    assert "sea-waves 0.3" in message
    assert repr(bad) in message
    assert "expected: a finite number" in message


def test_a_number_that_no_float_holds_is_blamed_on_the_plugin():
    for large in (10**400, 10**5000, Fraction(10**400)):
        with pytest.raises(
            PluginError, match=r"'waves'.* returned a number larger than a float can be at progress 0, step 0"
        ):
            Schedule("waves", lambda progress, step, large=large: large)


def test_a_schedule_that_turns_bad_in_the_middle_is_caught_there():
    schedule = Schedule(
        "hole", lambda progress, step: math.nan if step == 5 else 1.0, owner=Owner("'hole' of sea-hole")
    )
    assert schedule.at(0.4, 4) == 1.0
    with pytest.raises(PluginError, match=r"'hole' of sea-hole: returned nan .*progress 0.5, step 5"):
        schedule.at(0.5, 5)


def test_a_schedule_that_raises_is_named_and_the_cause_is_kept():
    def broken(progress, step):
        return 1 / 0

    with pytest.raises(PluginError, match=r"'broken' of sea-broken failed .*ZeroDivisionError") as caught:
        Schedule("broken", broken, owner=Owner("'broken' of sea-broken"))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_wrong_option_is_found_when_the_schedule_is_made_and_stays_a_recipe_error():
    with pytest.raises(RecipeError, match="rising"):
        Schedule("piecewise", functools.partial(piecewise, boundaries=[0.5, 0.2], values=[1.0, 2.0, 3.0]))


def test_value_takes_numbers_and_schedules():
    schedule = Schedule("linear", functools.partial(linear, start=0.0, end=1.0))
    assert value(3, 0.5, 1) == 3.0
    assert isinstance(value(3, 0.5, 1), float)
    assert value(schedule, 0.5, 1) == 0.5


def test_repr_shows_name_and_ends():
    assert repr(Schedule("linear", functools.partial(linear, start=1.0, end=0.25))) == "<Schedule linear: 1 … 0.25>"


def test_no_schedule_imports_torch():
    code = (
        "import sys, sea_toolkit.schedules as s\n"
        "from sea_toolkit.schedules import constant, linear, cosine, exponential, piecewise\n"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
