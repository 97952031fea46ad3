"""The acceptance test: its rate, and what happens where a number is not finite."""

from __future__ import annotations

import math

import pytest
import torch

from sea_toolkit.core.live_bytes import LiveBytes
from sea_toolkit.core.noise import Noise
from sea_toolkit.samplers.shared.metropolis import metropolis, multiple_try

INF, NAN = math.inf, math.nan


def accepted(ratios, proposed=None, stopped=None, chains=1, seed=0):
    log_ratio = torch.tensor(ratios)[:, None].expand(-1, chains)
    energy = torch.zeros_like(log_ratio) if proposed is None else torch.tensor(proposed)[:, None].expand(-1, chains)
    still = torch.zeros_like(log_ratio, dtype=torch.bool) if stopped is None else torch.tensor(stopped)[:, None]
    return metropolis(Noise(range(seed, seed + len(ratios))), log_ratio, energy, still.expand(-1, chains))


def test_the_part_that_is_accepted_is_the_exponential_of_the_log_ratio():
    n = 20_000
    ratios = [-2.0, -0.5, 0.0, 3.0]
    found = accepted(ratios, chains=n)
    for row, rate, ratio in zip(found.mask, found.rate, ratios, strict=True):
        expected = min(1.0, math.exp(ratio))
        assert torch.allclose(rate, torch.tensor(expected))
        assert abs(float(row.float().mean()) - expected) <= 5 * math.sqrt(expected * (1 - expected) / n)


def test_what_is_not_finite():
    found = accepted([INF, NAN, -INF, INF, 1.0, 1.0], [0.0, 0.0, 0.0, INF, INF, NAN])
    assert found.mask.flatten().tolist() == [True, False, False, False, False, False]
    assert found.rate.flatten()[:3].tolist() == [1.0, 0.0, 0.0]


def test_stopped_chains_stay_and_report_a_rate_of_zero():
    found = accepted([1.0, 1.0], stopped=[True, False])
    assert found.mask.flatten().tolist() == [False, True]
    assert found.rate.flatten().tolist() == [0.0, 1.0]
    assert found.metrics["accepted"].flatten().tolist() == [0.0, 1.0]
    assert found.metrics["acceptance"] is found.rate


def test_the_choice_among_tries_is_by_weight_and_one_try_is_the_plain_test():
    log_ratio = torch.tensor([[0.3, -0.4, -torch.inf, torch.nan, -3.0, 2.0]]).repeat(4000, 1)
    owners = torch.tensor([[0, 0, 0, 1, 2, 2]]).expand(4000, -1)
    stopped = torch.zeros(4000, 4, dtype=torch.bool)
    found = multiple_try(Noise(range(4000)), log_ratio, torch.zeros_like(log_ratio), owners, stopped)
    weights = log_ratio[0].exp()
    for chain, (a, b) in {0: (0, 1), 2: (4, 5)}.items():
        both = weights[a] + weights[b]
        chosen = (found.tries[:, chain] == b).float().mean()
        assert float(chosen) == pytest.approx(float(weights[b] / both), abs=0.03)
        for other, taken in ((a, found.tries[:, chain] == b), (b, found.tries[:, chain] == a)):
            rate = (both / (1 + weights[other])).clamp(max=1.0)
            torch.testing.assert_close(found.rate[taken, chain], rate.expand(int(taken.sum())))
    assert not bool(found.mask[:, [1, 3]].any()), "no try that can be taken, and no try"
    some = log_ratio[:, [0, 1, 4, 5]]
    one = multiple_try(Noise(range(4000)), some, torch.zeros_like(some), torch.arange(4).expand(4000, -1), stopped)
    plain = metropolis(Noise(range(4000)), some, torch.zeros_like(some), stopped)
    assert torch.equal(one.mask, plain.mask)
    assert one.tries[0].tolist() == [0, 1, 2, 3]


def test_a_choice_among_tries_holds_what_is_in_proportion_to_the_chains():
    def held(chains):
        log_ratio, owners = torch.zeros(1, 3 * chains), (torch.arange(3 * chains) // 3)[None]
        with LiveBytes() as live:
            multiple_try(Noise([0]), log_ratio, log_ratio, owners, torch.zeros(1, chains, dtype=torch.bool))
        return live.peak

    assert held(1024) < 2.5 * held(512)
