"""Weights that lead to targets, against roots found by brute force and against laws in closed form."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest
import torch
from torch import Tensor

from sea_toolkit.evaluation.targets import Answers, highest, weights_for


def gaussian(prompts: int, samples: int, *, correlation: float = 0.0, seed: int = 0) -> Tensor:
    """Two gains of unit variance."""
    g = torch.randn(prompts, samples, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    second = correlation * g[..., 0] + math.sqrt(1 - correlation**2) * g[..., 1]
    return torch.stack([g[..., 0], second], -1)


def tilted_mean(gains: Tensor, given: Tensor, weight: float) -> float:
    """The jackknifed mean of one gain under a weight, written down prompt by prompt and text by text."""
    means = []
    for row, log in zip(gains.tolist(), given.tolist(), strict=True):
        kept = [(g, f) for g, f in zip(row, log, strict=True) if f > -math.inf]
        top = max(f + weight * g for g, f in kept)

        def mean(pairs: list[tuple[float, float]], top: float = top) -> float:
            shares = [math.exp(f + weight * g - top) for g, f in pairs]
            return sum(s * g for s, (g, _) in zip(shares, pairs, strict=True)) / sum(shares)

        n, whole = len(kept), mean(kept)
        without = [mean(kept[:i] + kept[i + 1 :]) for i in range(n)]
        means.append(n * whole - (n - 1) * sum(without) / n)
    return sum(means) / len(means)


def root(gains: Tensor, given: Tensor, target: float) -> float:
    low, high = 0.0, 8.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if tilted_mean(gains, given, middle) < target else (low, middle)
    return low


def test_a_single_weight_is_the_root_of_the_tilted_mean() -> None:
    gains = gaussian(6, 12)[..., :1]
    given = 0.3 * gaussian(6, 12, seed=1)[..., 0]
    given[0, 3] = -math.inf  # a wall of another term
    answers = Answers.of(gains, given)
    found = weights_for(answers, torch.tensor([0.5], dtype=torch.float64))
    assert found.reached
    assert float(found.weights[0]) == pytest.approx(root(gains[..., 0], given, 0.5), abs=1e-3)
    assert float(found.mean[0]) == pytest.approx(tilted_mean(gains[..., 0], given, float(found.weights[0])), abs=1e-6)


def test_a_gaussian_reward_needs_its_quantile_as_its_weight() -> None:
    """exp(w g) moves a standard normal by w; the correction for few answers keeps 16 of them from biasing it."""
    answers = Answers.of(gaussian(400, 16)[..., :1], torch.zeros(400, 16))
    for want in (0.8, 0.9):
        found = weights_for(answers, answers.quantiles([want]))
        assert float(found.weights[0]) == pytest.approx(NormalDist().inv_cdf(want), rel=0.12)


def test_two_targets_need_the_weights_of_their_covariance() -> None:
    """The mean of a normal law moves by Σ w: w = Σ⁻¹ target."""
    rho = 0.5
    answers = Answers.of(gaussian(600, 16, correlation=rho, seed=2), torch.zeros(600, 16))
    targets = torch.tensor([0.8, 0.6], dtype=torch.float64)
    expected = torch.linalg.solve(torch.tensor([[1, rho], [rho, 1]], dtype=torch.float64), targets)
    found = weights_for(answers, targets)
    assert found.reached
    torch.testing.assert_close(found.weights, expected, rtol=0.1, atol=0.03)
    torch.testing.assert_close(found.mean, targets, rtol=0, atol=1e-3)


def test_a_target_that_another_weight_reaches_gets_none() -> None:
    answers = Answers.of(gaussian(64, 16, correlation=0.9), torch.zeros(64, 16))
    found = weights_for(answers, torch.tensor([1.0, 0.2], dtype=torch.float64))
    assert found.reached
    assert float(found.weights[1]) == 0.0
    assert float(found.mean[1]) > 0.2
    below = weights_for(answers, torch.tensor([-0.5, -0.5], dtype=torch.float64))
    assert below.reached
    assert below.weights.tolist() == [0.0, 0.0]


def test_targets_that_fight_are_not_reached_and_the_way_to_them_ends_before() -> None:
    answers = Answers.of(gaussian(12, 12, correlation=-0.95), torch.zeros(12, 12))
    wanted = [0.85, 0.85]
    assert not weights_for(answers, answers.quantiles(wanted)).reached
    assert all(weights_for(answers.only(j), answers.only(j).quantiles([0.85])).reached for j in (0, 1))
    best = highest(answers, wanted)
    assert all(0.5 < q < 0.85 for q in best)
    assert weights_for(answers, answers.quantiles(best)).reached
    assert float(answers.correlation()[0, 1]) == pytest.approx(-0.95, abs=0.05)


def test_a_target_beyond_the_answers_is_not_reached() -> None:
    answers = Answers.of(gaussian(12, 8)[..., :1], torch.zeros(12, 8))
    assert not weights_for(answers, answers.quantiles([0.99])).reached
    (best,) = highest(answers, [0.99])
    assert 0.7 < best < 0.95


def test_answers_that_are_not_finite_take_no_part() -> None:
    gains, given = gaussian(4, 10)[..., :1], torch.zeros(4, 10)
    plain = weights_for(Answers.of(gains, given), torch.tensor([0.4], dtype=torch.float64))
    more = torch.cat([gains, torch.full((4, 1, 1), -math.inf, dtype=torch.float64)], 1)
    walls = torch.cat([given, torch.zeros(4, 1)], 1)
    again = weights_for(Answers.of(more, walls), torch.tensor([0.4], dtype=torch.float64))
    torch.testing.assert_close(again.weights, plain.weights)
