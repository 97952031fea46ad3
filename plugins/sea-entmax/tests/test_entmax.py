"""The relaxations, found and built by the hub as in a run."""

from __future__ import annotations

import pytest
import sea_entmax
import torch

import sea_toolkit as sea
from sea_toolkit.testing import check_relaxation, tiny_policy, tiny_reward

LOGITS = torch.tensor([[[[0.2, 1.1, -0.4, 0.9, -torch.inf]]]], dtype=torch.float64)


@pytest.fixture
def build():
    """Build a relaxation by name, with options."""
    hub = sea.PluginHub.discover(plugins=[])
    with hub.temporarily(sea_entmax):
        yield lambda name, **options: hub.get("relaxation", f"temporary:{name}").build(options)


@pytest.mark.parametrize("alpha", [1.5, 4.0])
def test_normmax_keeps_the_promises_of_a_relaxation(alpha):
    from sea_entmax.relaxations import normmax

    check_relaxation(normmax, alpha=alpha)


def test_its_maximizer_beats_its_neighbors(build):
    """The definition, checked without the package's own arithmetic."""
    alpha, z = 4.0, LOGITS[0, 0, 0, :4]

    def value(p: torch.Tensor) -> torch.Tensor:
        return p @ z - p.pow(alpha).sum().pow(1 / alpha)

    best = build("normmax", alpha=alpha)(LOGITS)[0, 0, 0, :4]
    g = torch.Generator().manual_seed(0)
    for _ in range(200):
        other = 0.95 * best + 0.05 * torch.rand(4, generator=g, dtype=torch.float64).log().neg().softmax(-1)
        assert value(best) >= value(other) - 1e-9


def test_normmax_shares_almost_equally(build):
    kept = build("normmax", alpha=20.0)(LOGITS)
    kept = kept[kept > 0]
    assert len(kept) > 1
    assert float(kept.max() / kept.min()) < 1.2


def test_alpha_may_follow_a_schedule(monkeypatch):
    seen = []

    def recorded(scores, alpha):
        seen.append(alpha)
        return scores.softmax(-1)

    monkeypatch.setattr("entmax.normmax_bisect", recorded)
    schedule = {"schedule": "linear", "start": 2.0, "end": 4.0}
    hub = sea.PluginHub.discover(plugins=[])
    with hub.temporarily(sea_entmax):
        sea.align(
            "the rain", policy=tiny_policy(), hub=hub, sampler="sea", steps=4, chains=1, max_new_tokens=4,
            energies={"reward": (1.0, tiny_reward())}, relaxation={"name": "normmax", "alpha": schedule},
        )  # fmt: skip
    assert seen == sorted(seen)
    assert seen[0] == 2.0
    assert len(set(seen)) >= 4


def test_an_alpha_out_of_range_is_refused(build):
    with pytest.raises(sea.RecipeError, match="alpha"):
        build("normmax", alpha=1.0)
