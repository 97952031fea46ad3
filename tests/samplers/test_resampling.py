"""Weights, their powers, and which particles go on."""

from __future__ import annotations

import pytest
import torch

from sea_toolkit.samplers.shared.resampling import (
    conditional_systematic,
    drawn_by_weight,
    effective,
    normalized,
    tempered,
)


@pytest.mark.parametrize("weights", [[0.5, 0.1, 0.0, 0.4], [0.1, 0.3, 0.6, 0.0], [0.25, 0.25, 0.25, 0.25]])
def test_the_others_get_what_systematic_resampling_gives_them_if_one_point_at_random_falls_to_the_first(weights):
    n, w = len(weights), torch.tensor(weights).double()
    begins = (torch.arange(4000).double() + 0.5) / 4000
    points = (torch.arange(n).double() + begins[:, None]) / n
    counts = torch.nn.functional.one_hot(torch.searchsorted(w.cumsum(0), points, right=True), n).sum(1).double()
    own = counts[:, 0]
    expected = (counts * own[:, None]).sum(0) / own.sum()
    expected[0] -= 1
    turns = torch.rand(40_000, 2, generator=torch.Generator().manual_seed(0))
    found = conditional_systematic(w.expand(40_000, -1), turns)
    assert found.shape == (40_000, n - 1)
    torch.testing.assert_close(
        torch.nn.functional.one_hot(found, n).double().sum(1).mean(0), expected, atol=0.015, rtol=0
    )


def test_a_first_particle_without_weight_leaves_all_to_the_others():
    weights = torch.tensor([0.0, 0.5, 0.0, 0.5]).double()
    found = conditional_systematic(weights.expand(100, -1), torch.rand(100, 2))
    assert set(found.flatten().tolist()) == {1, 3}


def test_a_power_of_the_weights_leaves_the_effective_size_that_is_asked_for():
    log_weights = torch.tensor([[0.0, -30.0, -60.0, -5.0], [0.0, -0.1, 0.1, 0.0], [0.0, -torch.inf, torch.nan, -1.0]])
    pressure, weights = tempered(log_weights, 0.5)
    assert float(effective(weights)[0]) == pytest.approx(2.0, abs=1e-3)
    factor = pressure[0, 1] / -30.0
    assert 0 < float(factor) < 1
    torch.testing.assert_close(pressure[0], factor * log_weights[0].double())
    torch.testing.assert_close(weights[0], normalized(pressure[0]))
    torch.testing.assert_close(pressure[1], log_weights[1].double())  # they are even enough
    assert weights[2].tolist() == pytest.approx([0.5, 0.0, 0.0, 0.5], abs=1e-3)  # two are all there are
    assert bool(pressure.isfinite().all())


def test_an_index_is_drawn_by_weight():
    weights = torch.tensor([0.2, 0.0, 0.5, 0.3]).double()
    turns = torch.rand(20_000, 1, generator=torch.Generator().manual_seed(1))
    found = torch.bincount(drawn_by_weight(weights.expand(20_000, -1), turns)[:, 0], minlength=4) / 20_000
    assert float((found - weights).abs().max()) < 0.015
