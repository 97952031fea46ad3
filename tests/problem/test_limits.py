"""Limits: how far outside of them a reading lies, ends in columns, and limits that exclude each other."""

from __future__ import annotations

import math

import pytest
import torch

from sea_toolkit.errors import RecipeError
from sea_toolkit.problem.limits import Limit, Named, PromptLimits, refuse_disjoint
from sea_toolkit.util.conversation import as_prompts

ROWS = as_prompts([{"prompt": "one", "most": 1.0}, {"prompt": "two", "most": "2.5"}])


@pytest.mark.parametrize(("low", "high"), [(1.0, None), (None, -1.0), (-0.5, 0.5)])
@pytest.mark.parametrize("is_reward", [False, True])
def test_the_excess_is_signed_and_that_of_the_reward_where_there_is_one(low, high, is_reward):
    reading = torch.tensor([[2.0, 0.25, 0.0, -2.0]])
    expected = [max(r - (math.inf if high is None else high), (-math.inf if low is None else low) - r)
                for r in reading[0].tolist()]  # fmt: skip
    limit = Limit(low, high).for_prompts(["p"], "'it'", is_reward=is_reward)
    energy = -reading if is_reward else reading
    torch.testing.assert_close(limit.excess(energy), torch.tensor([expected]))
    for value, excess in zip(energy[0].tolist(), expected, strict=True):
        assert bool(limit.unmet(0, value)) == (excess > 0)


def test_a_hinge_steers_by_what_is_outside_alone():
    energy = torch.tensor([[2.0, -1.0]], requires_grad=True)
    for method, slopes in (("multiplier", [1.0, 1.0]), ("hinge", [1.0, 0.0])):
        limit = PromptLimits((0.0,), (2.0,), method, -1.0)
        (slope,) = torch.autograd.grad(limit.steered_by(energy - 0.5).sum(), energy)
        assert slope.tolist() == [slopes]
    assert limit.slopes == [-1.0, 1.0]
    assert PromptLimits((0.0,), None, "multiplier", 1.0).slopes == [-1.0]


def test_readings_that_are_not_finite_are_inside_or_outside_like_others():
    limit = PromptLimits(None, (1.0,), "multiplier", -1.0)  # of a reward
    inside, outside, unknown = limit.excess(torch.tensor([[math.inf, -math.inf, math.nan]]))[0].tolist()
    assert math.isfinite(inside)
    assert inside < 0
    assert outside == math.inf
    assert math.isnan(unknown)


def test_what_is_outside_is_said_in_the_readings_own_unit():
    limit = PromptLimits((1.0,), (2.0,), "hinge", -1.0)
    assert limit.unmet(0, -2.5) == "2.5 is 0.5 above max = 2"
    assert limit.unmet(0, 1.0) == "-1 is 2 below min = 1"
    assert limit.unmet(0, -1.5) == ""
    assert limit.words(0) == "min = 1 and max = 2"


def test_each_prompt_may_have_a_limit_of_its_own():
    limit = Limit(None, "most").for_prompts(ROWS, "'it'", is_reward=False)
    assert limit.excess(torch.tensor([[2.0], [2.0]])).tolist() == [[1.0], [-0.5]]
    assert (limit.words(0), limit.words(1)) == ("max = 1", "max = 2.5")


@pytest.mark.parametrize("cell", ["", None, "much", True, float("nan")])
def test_a_cell_that_is_no_number_is_named_with_its_prompt(cell):
    rows = as_prompts([{"prompt": "one", "most": 1.0}, {"prompt": "two", "most": cell}])
    with pytest.raises(RecipeError, match=r"limit of 'it' is that of the column 'most', and prompt 2 \('two'\) has "):
        Limit(None, "most").for_prompts(rows, "'it'", is_reward=False)


def test_a_smallest_reading_above_the_largest_is_named_with_its_prompt():
    with pytest.raises(RecipeError, match="prompt 1: min = 2 is above max = 1"):
        Limit(2.0, "most").for_prompts(ROWS, "'it'", is_reward=False)


def test_limits_on_one_reading_may_not_exclude_each_other():
    def named(label, reads, low=None, high=None):
        return Named(label, reads, Limit(low, high))

    refuse_disjoint([named("a", "tone", high=1.0), named("b", "tone", low=1.0), named("c", "length", low=5.0)])
    with pytest.raises(RecipeError, match=r"'b' \(min = 3\) and 'a' \(max = 1\) exclude each other"):
        refuse_disjoint([named("a", "tone", 0.0, 1.0), named("b", "tone", 3.0, 4.0)])
    with_column = [named("a", "tone", high="most"), named("b", "tone", low=2.0)]
    refuse_disjoint(with_column)
    with pytest.raises(RecipeError, match=r"'b' \(min = 2\) and 'a' \(max = 1\) exclude each other for prompt 1"):
        refuse_disjoint(with_column, ROWS)
