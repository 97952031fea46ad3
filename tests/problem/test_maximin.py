"""Maximin weights: the dual of the best policy for the worst objective."""

from __future__ import annotations

import math

import pytest
import torch

from sea_toolkit.problem.maximin import maximin_weights


def dual(gains, weights):
    return (gains @ weights).logsumexp(0) - math.log(len(gains))


@pytest.mark.parametrize("spread", [0.5, 5.0, 60.0])
def test_no_weights_have_a_lower_dual_and_the_worst_objective_cannot_do_better(spread):
    gains = spread * torch.randn(3, 24, 3, generator=torch.Generator().manual_seed(0))
    gains[..., 1] -= 0.5 * gains[..., 0]  # two objectives that pull apart
    weights = maximin_weights(gains)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3))
    grid = [torch.tensor([i, j, 30 - i - j]) / 30 for i in range(31) for j in range(31 - i)]
    for z, w in zip(gains, weights, strict=True):
        assert float(dual(z, w)) <= min(float(dual(z, other)) for other in grid) + 2e-3
        best = (z @ w).softmax(0)  # the policy that is best for these weights
        means = best @ z
        divergence = float((best * (best * len(z)).clamp(min=1e-30).log()).sum())
        primal = float(means.min()) - divergence
        assert primal == pytest.approx(float(dual(z, w)), abs=5e-3)  # no policy has more


def test_the_same_objective_twice_and_one_that_is_never_the_worst():
    z = torch.randn(1, 16, 1, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(maximin_weights(torch.cat([z, z], -1)), torch.full((1, 2), 0.5))
    easy = torch.cat([z, z + 9.0], -1)
    assert float(maximin_weights(easy)[0, 0]) > 0.99


def test_an_objective_that_cannot_be_moved_takes_no_weight_from_those_that_can():
    z = torch.randn(2, 16, 3, generator=torch.Generator().manual_seed(3))
    z[0, :, 1] = 0.0
    weights = maximin_weights(z)
    torch.testing.assert_close(weights[0, [0, 2]], maximin_weights(z[:1, :, [0, 2]])[0])
    assert float(weights[0, 1]) == 0.0
    torch.testing.assert_close(weights[1:], maximin_weights(z[1:]))
    torch.testing.assert_close(maximin_weights(torch.zeros(1, 4, 2)), torch.full((1, 2), 0.5))


def test_answers_that_are_not_finite_are_left_out():
    z = torch.randn(1, 16, 2, generator=torch.Generator().manual_seed(2))
    broken = torch.cat([z, torch.tensor([[[torch.nan, 1.0], [5.0, -torch.inf]]])], 1)
    torch.testing.assert_close(maximin_weights(broken), maximin_weights(z))
    torch.testing.assert_close(maximin_weights(torch.full((1, 3, 2), torch.nan)), torch.full((1, 2), 0.5))
