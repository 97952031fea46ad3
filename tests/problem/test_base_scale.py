"""The scale of a term: its spread among the answers to a prompt."""

from __future__ import annotations

import math

import pytest
import torch

from sea_toolkit.problem.base_scale import base_scale, no_scale


def test_the_deviation_is_pooled_over_prompts_around_the_mean_of_each() -> None:
    """By hand: prompt one has squares 1 + 1 around 2, prompt two 9 + 9 around 103; four texts less two prompts."""
    found = base_scale(torch.tensor([[1.0, 3.0], [100.0, 106.0]]))
    assert (found.deviation, found.texts, found.freedom) == (pytest.approx(math.sqrt(20 / 2)), 4, 2)
    assert found.relative_error == pytest.approx(0.5)


def test_what_tells_prompts_apart_changes_nothing() -> None:
    values = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    apart = values + 50.0 * torch.arange(5.0)[:, None]
    assert base_scale(apart).deviation == pytest.approx(base_scale(values).deviation, rel=1e-5)
    assert base_scale(1024.0 * values).deviation == 1024.0 * base_scale(values).deviation  # a power of two: exactly


def test_texts_without_a_finite_value_are_left_out() -> None:
    values = torch.tensor([[1.0, 3.0, math.inf], [math.nan, 5.0, -math.inf], [0.0, 4.0, 2.0]])
    found = base_scale(values)
    assert (found.texts, found.freedom) == (6, 3)
    assert found.deviation == pytest.approx(math.sqrt((1 + 1 + 4 + 4) / 3))


@pytest.mark.parametrize(
    "values",
    [
        torch.full((3, 4), 7.0),
        torch.tensor([[1.0] * 3, [5.0] * 3]),
        torch.tensor([[1.0], [2.0]]),
        torch.full((2, 2), math.nan),
        1e4 + 1e-3 * torch.rand(2, 4, generator=torch.Generator().manual_seed(0)),
    ],
    ids=["one value", "one for each prompt", "one answer each", "none", "rounding"],
)
def test_a_term_that_is_the_same_for_all_answers_to_a_prompt_has_none(values: torch.Tensor) -> None:
    found = base_scale(values)
    assert found.deviation == 0.0
    assert "'taste' has one value for all answers to a prompt" in str(no_scale("taste", found))
