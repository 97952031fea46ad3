"""The schedules in the box: exact ends, bounds, monotony, closed forms and refused options."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sea_toolkit.errors import RecipeError
from sea_toolkit.schedules import Schedule
from sea_toolkit.schedules.constant import constant
from sea_toolkit.schedules.cosine import cosine
from sea_toolkit.schedules.exponential import exponential
from sea_toolkit.schedules.linear import linear
from sea_toolkit.schedules.piecewise import piecewise
from tests.helpers import hub

numbers = st.floats(-1e6, 1e6)
positives = st.floats(1e-6, 1e6)
part = st.floats(0.0, 1.0)
steps = st.integers(0, 10_000)

two_ended = pytest.mark.parametrize("schedule", [linear, cosine, exponential])


def close_to(number: float) -> float:
    """A few units in the last place of the numbers involved."""
    return 1e-12 * max(abs(number), 1e-300)


@given(value=numbers, progress=part, step=steps)
def test_constant_stays(value, progress, step):
    assert constant(progress, step, value=value) == value


@two_ended
@given(start=positives, end=positives, step=steps)
def test_ends_are_exact(schedule, start, end, step):
    assert schedule(0.0, step, start=start, end=end) == start
    assert schedule(1.0, step, start=start, end=end) == end


@pytest.mark.parametrize("schedule", [linear, cosine])
@given(start=numbers, end=numbers)
def test_ends_are_exact_for_any_sign(schedule, start, end):
    assert schedule(0.0, 0, start=start, end=end) == start
    assert schedule(1.0, 0, start=start, end=end) == end


@two_ended
@given(start=positives, end=positives, a=part, b=part)
def test_monotone_and_within_bounds(schedule, start, end, a, b):
    first, second = (schedule(p, 0, start=start, end=end) for p in sorted((a, b)))
    low, high = min(start, end), max(start, end)
    assert low <= first <= high
    assert low <= second <= high
    if end >= start:
        assert second >= first - close_to(high)
    else:
        assert second <= first + close_to(high)


@two_ended
@given(start=positives, end=positives, progress=part, a=steps, b=steps)
def test_only_progress_counts_not_the_step(schedule, start, end, progress, a, b):
    assert schedule(progress, a, start=start, end=end) == schedule(progress, b, start=start, end=end)


@given(start=numbers, end=numbers, progress=part)
def test_linear_closed_form(start, end, progress):
    expected = start + progress * (end - start)
    assert math.isclose(linear(progress, 0, start=start, end=end), expected, rel_tol=1e-12, abs_tol=1e-9)


@given(start=numbers, end=numbers, progress=part)
def test_cosine_is_point_symmetric_about_the_middle(start, end, progress):
    pair = cosine(progress, 0, start=start, end=end) + cosine(1.0 - progress, 0, start=start, end=end)
    assert math.isclose(pair, start + end, rel_tol=1e-12, abs_tol=1e-9)


def test_cosine_known_values():
    assert cosine(0.5, 0, start=1.0, end=3.0) == pytest.approx(2.0)
    assert cosine(1 / 3, 0, start=0.0, end=1.0) == pytest.approx(0.25)  # (1 - cos 60°) / 2
    assert cosine(0.01, 0, start=1.0, end=0.0) > linear(0.01, 0, start=1.0, end=0.0)  # flat at the start


@given(start=positives, end=positives, progress=part)
def test_exponential_is_a_straight_line_in_the_logarithm(start, end, progress):
    expected = (1 - progress) * math.log(start) + progress * math.log(end)
    assert math.log(exponential(progress, 0, start=start, end=end)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("name", "bad"), [("start", 0.0), ("end", -0.5)])
def test_exponential_refuses_what_no_factor_reaches(name, bad):
    with pytest.raises(RecipeError, match=f"option '{name}' is .*\nexpected: float > 0"):
        hub().get("schedule", "exponential").build({"start": 1.0, "end": 1.0, name: bad})


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("name", ["linear", "cosine", "exponential", "cyclical"])
def test_ends_must_be_finite(name, bad):
    for end in ("start", "end"):
        with pytest.raises(RecipeError, match=f"option '{end}' is {bad}"):
            hub().get("schedule", name).build({"start": 1.0, "end": 1.0, end: bad})


def test_constant_must_be_finite():
    with pytest.raises(RecipeError, match="option 'value' is nan"):
        hub().get("schedule", "constant").build({"value": math.nan})


QUARTERS = {"boundaries": [0.25, 0.5, 0.75], "values": [0.1, 0.05, 0.01, 0.001]}


@pytest.mark.parametrize(
    ("progress", "expected"),
    [(0.0, 0.1), (0.2499, 0.1), (0.25, 0.05), (0.5, 0.01), (0.74, 0.01), (0.75, 0.001), (1.0, 0.001)],
)
def test_piecewise_by_quarters(progress, expected):
    assert piecewise(progress, 3, **QUARTERS) == expected


def test_piecewise_without_boundaries_is_constant_or_a_line():
    assert piecewise(0.7, 0, boundaries=[], values=[3.0]) == 3.0
    assert piecewise(0.25, 0, boundaries=[], values=[0.0, 4.0], interpolate=True) == 1.0


def test_piecewise_interpolated_known_values():
    options = {"boundaries": [0.5], "values": [0.0, 2.0, 1.0], "interpolate": True}
    assert [piecewise(p, 0, **options) for p in (0.0, 0.25, 0.5, 0.75, 1.0)] == [0.0, 1.0, 2.0, 1.5, 1.0]


@st.composite
def pieces(draw, extra):
    boundaries = sorted(draw(st.sets(st.floats(0.01, 0.99), max_size=5)))
    size = len(boundaries) + extra
    return boundaries, draw(st.lists(numbers, min_size=size, max_size=size))


@given(made=pieces(1), progress=part)
def test_piecewise_takes_only_its_values(made, progress):
    boundaries, values = made
    result = piecewise(progress, 0, boundaries=boundaries, values=values)
    assert result == values[sum(b <= progress for b in boundaries)]


@given(made=pieces(2), progress=part)
def test_piecewise_interpolated_meets_its_knots_and_stays_between_neighbours(made, progress):
    boundaries, values = made
    knots = [0.0, *boundaries, 1.0]
    options = {"boundaries": boundaries, "values": values, "interpolate": True}
    assert [piecewise(k, 0, **options) for k in knots] == values
    left = max(i for i in range(len(knots) - 1) if knots[i] <= progress)
    low, high = sorted(values[left : left + 2])
    assert low <= piecewise(progress, 0, **options) <= high


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"boundaries": [0.5, 0.25], "values": [1.0, 2.0, 3.0]}, "rising numbers"),
        ({"boundaries": [0.5, 0.5], "values": [1.0, 2.0, 3.0]}, "rising numbers"),
        ({"boundaries": [0.0], "values": [1.0, 2.0]}, "greater than 0"),
        ({"boundaries": [10.0], "values": [1.0, 2.0]}, "less than 1"),
        ({"boundaries": [0.5], "values": [1.0]}, "1 values for 1 boundaries"),
        ({"boundaries": [0.5], "values": [1.0, 2.0, 3.0]}, "expected: 2 values"),
        ({"boundaries": [0.5], "values": [1.0, 2.0], "interpolate": True}, "expected: 3 values"),
        ({"boundaries": [math.nan], "values": [1.0, 2.0]}, r"option 'boundaries'\[0\] is "),
        ({"boundaries": [0.5], "values": [1.0, math.inf]}, r"option 'values'\[1\] is "),
    ],
)
def test_piecewise_refuses_wrong_options(options, message):
    with pytest.raises(RecipeError, match=message):
        Schedule("piecewise", hub().get("schedule", "piecewise").build(options))
