"""`sparsemax` and `entmax`: optimality, closed forms, a slow reference, and gradients."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from sea_toolkit.errors import RecipeError
from sea_toolkit.relaxations.entmax import entmax
from sea_toolkit.relaxations.softmax import softmax
from sea_toolkit.relaxations.sparsemax import sparsemax
from tests.helpers import hub

ALPHAS = [1.05, 1.25, 1.5, 1.9, 2.0, 3.0]
SHAPE = (2, 3, 4, 6)
every = pytest.mark.parametrize("alpha", ALPHAS)


def some_logits(*shape, seed=1, dtype=torch.float64, scale=1.5):
    return (scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).to(dtype)


def bracketed(row, alpha):
    """One row in plain floats: τ by bisection over a bracket that is far too wide."""
    z = [(alpha - 1) * x for x in row]
    low, high = max(z) - 2.0, max(z)
    for _ in range(200):
        middle = (low + high) / 2
        if sum(max(x - middle, 0.0) ** (1 / (alpha - 1)) for x in z) >= 1:
            low = middle
        else:
            high = middle
    return [max(x - low, 0.0) ** (1 / (alpha - 1)) for x in z]


@every
@given(seed=st.integers(0, 2**20), k=st.integers(1, 12), scale=st.sampled_from([0.01, 1.0, 5.0, 200.0]))
@settings(max_examples=30)
def test_a_slow_reference_gives_the_same(alpha, seed, k, scale):
    logits = some_logits(1, 2, 3, k, seed=seed, scale=scale)
    found = entmax(logits, alpha=alpha, temperature=0.7)
    rows = [bracketed(row, alpha) for row in (logits / 0.7).view(-1, k).tolist()]
    torch.testing.assert_close(found, torch.tensor(rows, dtype=torch.float64).view_as(found), atol=1e-9, rtol=1e-7)
    assert bool((found >= 0).all())
    torch.testing.assert_close(found.sum(-1), torch.ones(1, 2, 3, dtype=torch.float64), atol=1e-12, rtol=0)


@every
def test_the_weights_are_optimal(alpha):
    """KKT of ⟨p, z⟩ + H_α(p): z − p^{α − 1} / (α − 1) is the same on the support and not larger outside."""
    logits = some_logits(*SHAPE)
    p = entmax(logits, alpha=alpha, temperature=1.0)
    slack = logits - p.pow(alpha - 1) / (alpha - 1)
    inside = torch.where(p > 0, slack, torch.nan)
    level = inside.nanmean(-1, keepdim=True)
    torch.testing.assert_close(inside.nan_to_num(0.0), torch.where(p > 0, level, 0.0), atol=1e-9, rtol=0)
    assert bool((torch.where(p > 0, -torch.inf, logits) <= level + 1e-9).all())
    if alpha >= 1.5:
        assert bool((p == 0).any())


def test_sparsemax_is_the_nearest_point_of_the_simplex():
    """By trying every support."""
    for row in some_logits(40, 5).tolist():
        best = None
        for size in range(1, 6):
            for support in itertools.combinations(range(5), size):
                tau = (sum(row[i] for i in support) - 1) / size
                p = [row[i] - tau if i in support else 0.0 for i in range(5)]
                if min(p) >= 0:
                    gap = sum((a - b) ** 2 for a, b in zip(p, row, strict=True))
                    best = min(best or (gap, p), (gap, p))
        found = sparsemax(torch.tensor(row, dtype=torch.float64).view(1, 1, 1, 5), temperature=1.0)
        assert found.flatten().tolist() == pytest.approx(best[1], abs=1e-12)


@pytest.mark.parametrize("lead", [-3.0, -1.0, -0.4, 0.0, 0.7, 1.0, 2.0, 5.0])
def test_two_tokens_in_closed_form(lead):
    logits = torch.tensor([[[[lead, 0.0]]]], dtype=torch.float64)
    assert float(sparsemax(logits, temperature=1.0)[..., 0]) == pytest.approx(min(max((1 + lead) / 2, 0), 1))
    clipped = min(max(lead, -2.0), 2.0)
    expected = 0.5 + clipped / 8 * math.sqrt(8 - clipped**2)
    assert float(entmax(logits, temperature=1.0)[..., 0]) == pytest.approx(expected, abs=1e-7)


def test_the_ends_of_alpha():
    logits = some_logits(*SHAPE)
    assert torch.equal(entmax(logits, alpha=2.0, temperature=0.8), sparsemax(logits, temperature=0.8))
    near = [entmax(logits, alpha=a, temperature=1.0) for a in (1.5 - 1e-9, 1.5, 2.0 - 1e-9, 2.0)]
    torch.testing.assert_close(near[0], near[1], atol=1e-7, rtol=0)
    torch.testing.assert_close(near[2], near[3], atol=1e-7, rtol=0)
    gaps = [float((entmax(logits, alpha=a, temperature=1.0) - softmax(logits)).abs().max()) for a in (1.1, 1.05, 1.01)]
    assert gaps[0] > 1.7 * gaps[1] > 1.7 * 3 * gaps[2]
    assert gaps[2] < 0.01


@every
def test_who_leads_by_enough_stands_alone(alpha):
    temperature = 1.7
    lead = temperature / (alpha - 1)
    for more, alone in ((1.001, True), (0.98, False)):
        logits = torch.tensor([[[[more * lead, 0.0, -1.0]]]], dtype=torch.float64, requires_grad=True)
        weights = entmax(logits, alpha=alpha, temperature=temperature)
        weights[..., 0].sum().backward()
        if alpha > 1.2 or alone:  # near softmax, the weight of the second is there but tiny
            assert bool(weights[..., 0] == 1) is alone
            assert bool((logits.grad == 0).all()) is alone


@every
@pytest.mark.parametrize("temperature", [0.6, 2.0])
def test_gradcheck(alpha, temperature):
    """Where no weight is about to vanish: there the slope jumps, or, for α > 2, is infinite."""
    logits = some_logits(1, 3, 4, 5, seed=3)
    weights = entmax(logits, alpha=alpha, temperature=temperature)
    if alpha >= 2:
        assert float(weights[weights > 0].min()) > 1e-3
    assert gradcheck(lambda z: entmax(z, alpha=alpha, temperature=temperature), (logits.requires_grad_(),), atol=1e-4)


def test_gradcheck_of_sparsemax():
    logits = some_logits(1, 3, 4, 5, seed=3).requires_grad_()
    assert gradcheck(lambda z: sparsemax(z, temperature=1.3), (logits,))


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_low_precision_follows_float64(alpha, dtype):
    logits = some_logits(*SHAPE, dtype=dtype).requires_grad_()
    exact = logits.detach().double().requires_grad_()
    upstream = some_logits(*SHAPE, seed=8)
    weights, expected = (entmax(z, alpha=alpha, temperature=1.5) for z in (logits, exact))
    assert weights.dtype == dtype
    tolerance = max(torch.finfo(dtype).eps, 2e-6 if alpha <= 2 else 2e-3)  # p is a root of what is rounded
    torch.testing.assert_close(weights.double(), expected, atol=tolerance, rtol=tolerance)
    (weights.double() * upstream).sum().backward()
    (expected * upstream).sum().backward()
    if alpha <= 2:
        torch.testing.assert_close(logits.grad.double(), exact.grad, atol=50 * tolerance, rtol=50 * tolerance)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_padding_weighs_nothing_and_changes_nothing(alpha, dtype):
    logits = some_logits(*SHAPE, dtype=dtype)
    padded = torch.cat([logits, torch.full((*SHAPE[:3], 2), -math.inf, dtype=dtype)], -1)
    padded = padded[..., [6, 0, 1, 2, 7, 3, 4, 5]].requires_grad_()
    back = [1, 2, 3, 5, 6, 7]
    plain = logits.clone().requires_grad_()
    upstream = some_logits(*SHAPE[:3], 8, seed=9, dtype=dtype)
    weights, alone = (entmax(z, alpha=alpha, temperature=1.5) for z in (padded, plain))
    (weights * upstream).sum().backward()
    (alone * upstream[..., back]).sum().backward()
    assert bool((weights[..., [0, 4]] == 0).all())
    assert bool((padded.grad[..., [0, 4]] == 0).all())
    assert torch.isfinite(padded.grad).all()
    torch.testing.assert_close(weights[..., back], alone)
    torch.testing.assert_close(padded.grad[..., back], plain.grad)


@every
def test_ties_share_and_one_candidate_has_all(alpha):
    flat = entmax(torch.zeros(1, 1, 1, 7), alpha=alpha)
    torch.testing.assert_close(flat, torch.full((1, 1, 1, 7), 1 / 7), atol=1e-5, rtol=0)
    assert entmax(torch.full((1, 1, 2, 1), -40.0), alpha=alpha).tolist() == [[[[1.0], [1.0]]]]


@every
def test_a_wide_vocabulary_sums_to_one(alpha):
    logits = some_logits(1, 1, 2, 50_000, dtype=torch.float32, scale=3.0)
    weights = entmax(logits, alpha=alpha)
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 1, 2), atol=1e-4, rtol=0)
    assert bool((weights == 0).any()) is (alpha >= 1.25)


@every
def test_slopes_stay_finite_where_a_weight_is_about_to_vanish(alpha):
    lead = 1.0 / (alpha - 1)
    for off in (1e-3, 1e-6, 1e-9):
        logits = torch.tensor([[[[lead * (1 - off), 0.0, -9.0]]]], requires_grad=True)
        (entmax(logits, alpha=alpha, temperature=1.0) * torch.tensor([1.0, -2.0, 5.0])).sum().backward()
        assert torch.isfinite(logits.grad).all()
        assert float(logits.grad.sum().abs()) <= 1e-3 * float(logits.grad.abs().max()) + 1e-6


@every
def test_vmap_gives_the_same_as_a_loop(alpha):
    logits = some_logits(3, *SHAPE)
    together = torch.func.vmap(lambda z: entmax(z, alpha=alpha))(logits)
    torch.testing.assert_close(together, torch.stack([entmax(z, alpha=alpha) for z in logits]))


@pytest.mark.parametrize("bad", [1.0, 0.5, math.nan, math.inf])
def test_an_alpha_that_means_nothing_is_refused(bad):
    with pytest.raises(RecipeError, match=r"option 'alpha' is .*\nexpected: float ≥ 1\.01"):
        hub().get("relaxation", "entmax").build({"alpha": bad})


def test_a_second_derivative_is_refused_rather_than_wrong():
    logits = some_logits(*SHAPE).requires_grad_()
    (slope,) = torch.autograd.grad(sparsemax(logits).square().sum(), logits, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.square().sum().backward()
