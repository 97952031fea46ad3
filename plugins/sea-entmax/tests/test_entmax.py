"""The relaxations, found and built by the hub as in a run."""

from __future__ import annotations

import pytest
import sea_entmax
import torch

import sea_toolkit as sea
from sea_toolkit.schedules import Schedule
from sea_toolkit.testing import check_relaxation

LOGITS = torch.tensor([[[[0.2, 1.1, -0.4, 0.9, -torch.inf]]]], dtype=torch.float64)


@pytest.fixture
def build():
    """Build a relaxation by name, with options."""
    hub = sea.PluginHub.discover(plugins=[])
    with hub.temporarily(sea_entmax):
        yield lambda name, **options: hub.get("relaxation", f"temporary:{name}").build(options)


@pytest.mark.parametrize("alpha", [1.0, 1.3, 2.0, 3.0])
def test_entmax_keeps_the_promises_of_a_relaxation(alpha):
    from sea_entmax.relaxations import entmax_bisect

    check_relaxation(entmax_bisect, alpha=alpha)


@pytest.mark.parametrize("alpha", [1.5, 4.0])
def test_normmax_keeps_the_promises_of_a_relaxation(alpha):
    from sea_entmax.relaxations import normmax

    check_relaxation(normmax, alpha=alpha)


def test_it_leads_from_the_softmax_to_ever_fewer_candidates(build):
    supports = []
    for alpha in (1.0, 1.2, 2.0, 4.0):
        weights = build("entmax-bisect", alpha=alpha)(LOGITS)
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
        supports.append(int((weights > 0).sum()))
    assert supports == sorted(supports, reverse=True)
    assert (supports[0], supports[-1]) == (4, 2)
    torch.testing.assert_close(build("entmax-bisect", alpha=1.0)(LOGITS), LOGITS.softmax(-1))


def test_alpha_2_is_the_projection_onto_the_simplex(build):
    weights = build("entmax-bisect", alpha=2.0)(LOGITS)
    threshold = (1.1 + 0.9 - 1.0) / 2  # 0.2 lies below it
    torch.testing.assert_close(weights, (LOGITS - threshold).clamp(min=0))


@pytest.mark.parametrize("name", ["entmax-bisect", "normmax"])
def test_its_maximizer_beats_its_neighbors(build, name):
    """The definition, checked without the package's own arithmetic."""
    alpha = 1.5 if name == "entmax-bisect" else 4.0
    z = LOGITS[0, 0, 0, :4]

    def value(p: torch.Tensor) -> torch.Tensor:
        if name == "normmax":
            return p @ z - p.pow(alpha).sum().pow(1 / alpha)
        return p @ z + (p - p.pow(alpha)).sum() / (alpha * (alpha - 1))

    best = build(name, alpha=alpha)(LOGITS)[0, 0, 0, :4]
    g = torch.Generator().manual_seed(0)
    for _ in range(200):
        other = 0.95 * best + 0.05 * torch.rand(4, generator=g, dtype=torch.float64).log().neg().softmax(-1)
        assert value(best) >= value(other) - 1e-9


def test_normmax_shares_almost_equally(build):
    kept = build("normmax", alpha=20.0)(LOGITS)
    kept = kept[kept > 0]
    assert len(kept) > 1
    assert float(kept.max() / kept.min()) < 1.2


def test_alpha_may_follow_a_schedule(build):
    from functools import partial

    from sea_toolkit.schedules.linear import linear

    schedule = Schedule("linear", partial(linear, start=1.0, end=2.0))
    assert build("entmax-bisect", alpha=schedule).keywords["alpha"] is schedule


def test_an_alpha_below_1_is_refused(build):
    with pytest.raises(sea.RecipeError, match="alpha"):
        build("entmax-bisect", alpha=0.5)
