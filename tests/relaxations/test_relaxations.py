"""The relaxations in the box: rows, gradients, limits, laws and padding."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from sea_toolkit.core.noise import Noise
from sea_toolkit.errors import RecipeError
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.relaxations.gumbel_softmax import gumbel_softmax
from sea_toolkit.relaxations.softmax import softmax
from sea_toolkit.relaxations.straight_through import straight_through
from sea_toolkit.runs.compose import compose
from sea_toolkit.runs.recipe import Recipe

SHAPE = (2, 3, 4, 5)


class FixedGumbel(Noise):
    """In place of the run's Noise: the same Gumbel noise at each call, to compare calls."""

    def __init__(self, *shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> None:
        super().__init__([seed])
        uniform = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        self.values = (-(-uniform.clamp_min(1e-300).log()).log()).to(dtype)
        self.calls: list[tuple[int, ...]] = []

    def gumbel(self, *shape: int) -> torch.Tensor:
        self.calls.append(shape)
        assert shape == tuple(self.values.shape[1:])
        return self.values


def some_logits(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32, scale: float = 3.0) -> torch.Tensor:
    return (scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).to(dtype)


def apply(name: str, logits: torch.Tensor, noise: FixedGumbel | None = None, **options) -> torch.Tensor:
    if name == "softmax":
        return softmax(logits, **options)
    if name == "straight-through":
        return straight_through(logits, **options)
    noise = noise or FixedGumbel(*logits.shape)
    return gumbel_softmax(logits, noise, hard=name.endswith("hard"), **options)


ALL = ["softmax", "straight-through", "gumbel-softmax", "gumbel-softmax hard"]
HARD = ["straight-through", "gumbel-softmax hard"]
every = pytest.mark.parametrize("name", ALL)
hard_ones = pytest.mark.parametrize("name", HARD)


@every
@given(
    temperature=st.floats(1e-3, 1e3),
    scale=st.floats(0.0, 300.0),
    seed=st.integers(0, 2**20),
    k=st.integers(1, 9),
)
@settings(max_examples=40)
def test_rows_are_distributions(name, temperature, scale, seed, k):
    logits = some_logits(1, 2, 3, k, seed=seed, scale=scale)
    weights = apply(name, logits, temperature=temperature)
    assert weights.shape == logits.shape
    assert weights.dtype == logits.dtype
    assert (weights >= 0).all()
    assert torch.allclose(weights.sum(-1), torch.ones(1, 2, 3), atol=1e-5)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_softmax_is_torchs(temperature):
    logits = some_logits(*SHAPE)
    expected = torch.softmax(logits / temperature, -1)
    assert torch.allclose(softmax(logits, temperature=temperature), expected, atol=1e-6)


@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_adds_the_noise_before_dividing_by_the_temperature(hard):
    logits, noise = some_logits(*SHAPE), FixedGumbel(*SHAPE)
    soft = torch.softmax((logits + noise.values) / 0.5, -1)
    weights = gumbel_softmax(logits, noise, temperature=0.5, hard=hard)
    expected = torch.nn.functional.one_hot(soft.argmax(-1), SHAPE[-1]).float() if hard else soft
    assert torch.allclose(weights, expected, atol=1e-6)
    assert noise.calls == [SHAPE[1:]]


@hard_ones
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_forward_is_exactly_one_hot_at_the_best_score(name, dtype):
    logits, noise = some_logits(*SHAPE, dtype=dtype), FixedGumbel(*SHAPE)
    weights = apply(name, logits, noise, temperature=0.7)
    scores = logits if name == "straight-through" else logits + noise.values
    assert torch.equal(weights, torch.nn.functional.one_hot(scores.argmax(-1), SHAPE[-1]).to(dtype))


def test_of_equal_logits_the_first_wins_and_only_one():
    logits = torch.tensor([[[[0.0, 2.0, 2.0, 2.0], [1.0, 1.0, 1.0, 1.0]]]])
    expected = torch.tensor([[[[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]]])
    assert torch.equal(straight_through(logits), expected)


def test_logits_that_differ_are_told_apart_where_their_rounded_weights_are_equal():
    logits = torch.tensor([[[[1.0, 1.0078125, 0.0]]]], dtype=torch.bfloat16)
    soft = softmax(logits, temperature=100.0)
    assert soft[0, 0, 0, 0] == soft[0, 0, 0, 1]
    assert straight_through(logits, temperature=100.0).argmax().item() == 1


@hard_ones
@pytest.mark.parametrize("temperature", [0.2, 1.0, 4.0])
def test_gradient_of_a_hard_forward_is_the_softmaxs(name, temperature):
    upstream = some_logits(*SHAPE, seed=7, dtype=torch.float64)
    gradients = []
    for variant in (name, {"straight-through": "softmax"}.get(name, "gumbel-softmax")):
        logits = some_logits(*SHAPE, dtype=torch.float64).requires_grad_()
        noise = FixedGumbel(*SHAPE, dtype=torch.float64)
        (upstream * apply(variant, logits, noise, temperature=temperature)).sum().backward()
        gradients.append(logits.grad)
    assert torch.equal(*gradients)
    assert gradients[0].abs().max() > 1e-3


@pytest.mark.parametrize("name", ["softmax", "gumbel-softmax"])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_gradcheck(name, temperature):
    logits = some_logits(1, 2, 2, 4, dtype=torch.float64).requires_grad_()
    noise = FixedGumbel(1, 2, 2, 4, dtype=torch.float64)
    assert gradcheck(lambda z: apply(name, z, noise, temperature=temperature), (logits,))


@pytest.mark.parametrize("name", ["softmax", "gumbel-softmax"])
def test_temperature_limits(name):
    logits, noise = some_logits(*SHAPE), FixedGumbel(*SHAPE)
    cold, hot = (apply(name, logits, noise, temperature=t) for t in (1e-4, 1e6))
    scores = logits if name == "softmax" else logits + noise.values
    assert torch.allclose(cold, torch.nn.functional.one_hot(scores.argmax(-1), SHAPE[-1]).float(), atol=1e-6)
    assert torch.allclose(hot, torch.full(SHAPE, 1 / SHAPE[-1]), atol=1e-4)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_large_logits_at_a_low_temperature_stay_finite(name, dtype):
    logits = torch.tensor([[[[30.0, 29.0, -40.0]]]], dtype=dtype, requires_grad=True)
    weights = apply(name, logits, FixedGumbel(1, 1, 1, 3), temperature=1e-4)
    weights[..., 0].sum().backward()
    assert torch.isfinite(weights).all()
    assert torch.isfinite(logits.grad).all()
    assert weights.float().sum().item() == pytest.approx(1.0)


@every
def test_padding_weighs_nothing_changes_nothing_and_keeps_gradients_finite(name):
    logits, noise = some_logits(1, 2, 3, 4), FixedGumbel(1, 2, 3, 6)
    padded = torch.cat([logits, torch.full((1, 2, 3, 2), -math.inf)], -1).requires_grad_()
    plain = logits.clone().requires_grad_()
    upstream = some_logits(1, 2, 3, 6, seed=9)
    weights = apply(name, padded, noise, temperature=0.5)
    (upstream * weights).sum().backward()

    unpadded_noise = FixedGumbel(1, 2, 3, 4)
    unpadded_noise.values = noise.values[..., :4]
    unpadded = apply(name, plain, unpadded_noise, temperature=0.5)
    (upstream[..., :4] * unpadded).sum().backward()

    assert (weights[..., 4:] == 0).all()
    assert torch.allclose(weights[..., :4], unpadded, atol=1e-6)
    assert torch.isfinite(padded.grad).all()
    assert (padded.grad[..., 4:] == 0).all()
    assert torch.allclose(padded.grad[..., :4], plain.grad, atol=1e-6)


@every
def test_bf16_follows_float32_within_its_precision(name):
    logits, noise = some_logits(*SHAPE, dtype=torch.bfloat16), FixedGumbel(*SHAPE)
    half = apply(name, logits, noise, temperature=0.8)
    full = apply(name, logits.float(), noise, temperature=0.8)
    assert half.dtype == torch.bfloat16
    assert torch.allclose(half.float(), full, atol=2**-8)


@every
def test_rows_do_not_see_each_other_and_the_input_stays(name):
    logits, noise = some_logits(*SHAPE), FixedGumbel(*SHAPE)
    before = logits.clone()
    weights = apply(name, logits, noise, temperature=0.6)
    assert torch.equal(logits, before)
    order = torch.tensor([2, 0, 1])
    permuted_noise = FixedGumbel(*SHAPE)
    permuted_noise.values = noise.values[:, order]
    assert torch.equal(apply(name, logits[:, order], permuted_noise, temperature=0.6), weights[:, order])


@pytest.mark.parametrize("temperature", [0.25, 1.0, 2.0])
@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_argmax_follows_the_softmax_of_the_logits_at_any_temperature(hard, temperature):
    draws = 40_000
    logits = torch.tensor([1.3, 0.0, -0.7, 0.4, -2.0])
    noise = FixedGumbel(1, draws, 1, 5, seed=11)
    weights = gumbel_softmax(logits.expand(1, draws, 1, 5), noise, temperature=temperature, hard=hard)
    frequency = torch.bincount(weights.argmax(-1).flatten(), minlength=5) / draws
    law = torch.softmax(logits, -1)
    # Five binomial frequencies, each within 4 standard errors (all at once: 3 in 10,000 seeds would fail).
    assert ((frequency - law).abs() < 4 * (law * (1 - law) / draws).sqrt()).all()
    # The test has power: the law at twice the temperature lies far outside.
    other = torch.softmax(logits / 2, -1)
    assert ((frequency - other).abs() > 4 * (other * (1 - other) / draws).sqrt()).any()


@pytest.mark.parametrize("name", ["softmax", "straight-through", "gumbel-softmax", "sparsemax", "entmax"])
@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_that_means_nothing_is_refused_before_anything_is_loaded(name, temperature):
    recipe = {
        "energies": [{"name": "reference"}, {"name": "length", "target": 3}],
        "sampler": {"name": "sea"},
        "relaxation": {"name": name, "temperature": temperature},
    }
    with pytest.raises(RecipeError, match=rf"relaxation \({name}\): option 'temperature' is .*\nexpected: float > 0"):
        compose(Recipe.model_validate(recipe), PluginHub.discover(plugins=[]))


def test_a_schedule_may_not_lead_a_temperature_to_zero():
    recipe = {
        "energies": [{"name": "length", "target": 3}],
        "sampler": {"name": "sea"},
        "relaxation": {"name": "softmax", "temperature": {"schedule": "linear", "start": 1.0, "end": 0.0}},
    }
    with pytest.raises(RecipeError, match="option 'temperature' is 0 at progress 1 of its schedule"):
        compose(Recipe.model_validate(recipe), PluginHub.discover(plugins=[]))


@hard_ones
def test_vmap_gives_the_same_as_a_loop(name):
    logits = some_logits(3, *SHAPE)
    noise = FixedGumbel(*SHAPE)
    together = torch.func.vmap(lambda z: apply(name, z, noise))(logits)
    assert torch.equal(together, torch.stack([apply(name, z, noise) for z in logits]))


def test_gumbel_takes_new_noise_at_each_call_from_the_runs_own_streams():
    logits = torch.zeros(2, 3, 4, 5)
    first_run, second_run = (Noise.for_prompts(["a", "b"], seed=3) for _ in range(2))
    before = torch.get_rng_state()
    first, second = gumbel_softmax(logits, first_run), gumbel_softmax(logits, first_run)
    assert not torch.allclose(first, second)
    assert not torch.allclose(first[0], first[1])
    assert torch.equal(gumbel_softmax(logits, second_run), first)
    assert torch.equal(torch.get_rng_state(), before)
