"""The streams of a run, and drawing from a distribution with one uniform number."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sea_toolkit.core.noise import Noise, categorical, prompt_seeds
from sea_toolkit.errors import NumericalError, SeaError


def test_a_prompts_stream_does_not_depend_on_its_neighbors():
    together, alone = Noise.for_prompts(["a", "b", "c"], 7), Noise.for_prompts(["b"], 7)
    for draw in ("uniform", "normal", "gumbel"):
        assert torch.equal(getattr(together, draw)(3, 4)[1], getattr(alone, draw)(3, 4)[0])


def test_seeds_differ_by_prompt_occurrence_and_seed():
    seeds = [*prompt_seeds(["a", "b", "a"], 0), *prompt_seeds(["a"], 1)]
    assert len(set(seeds)) == 4
    assert prompt_seeds(["a"], 0)[0] == seeds[0]


def test_the_global_stream_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    noise = Noise([1, 2])
    noise.normal(5), noise.uniform(5), noise.gumbel(5)
    assert torch.equal(torch.rand(2), expected)


def test_saved_streams_go_on():
    noise = Noise.for_prompts(["a", "b"], 0)
    noise.normal(3)
    state = noise.state()
    expected = noise.uniform(2, 5), noise.normal(7), noise.common_uniform()
    other = Noise.for_prompts(["x", "y"], 9)
    other.load_state(state)
    found = other.uniform(2, 5), other.normal(7), other.common_uniform()
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])
    assert found[2] == expected[2]
    with pytest.raises(SeaError, match="2 prompts"):
        Noise([1, 2, 3]).load_state(state)


def test_laws():
    noise = Noise([0])
    u = noise.uniform(40_000)
    assert u.min() > 0
    assert u.max() < 1
    n = noise.normal(40_000)
    assert abs(n.mean()) < 4 / 200
    assert abs(n.var() - 1) < 4 * (2 / 40_000) ** 0.5
    g = noise.gumbel(40_000)
    assert abs(g.mean() - 0.5772) < 4 * (torch.pi**2 / 6 / 40_000) ** 0.5  # Euler's constant, variance π²/6


def exact(probabilities, uniform):
    """The same inversion in float64, in one stage."""
    cumulative = probabilities.double().cumsum(-1)
    return torch.searchsorted(cumulative, uniform.double()[..., None] * cumulative[..., -1:], right=True).squeeze(-1)


@pytest.mark.parametrize("size", [1, 2, 3, 10, 128, 1000])
def test_categorical_inverts_the_cumulative_distribution(size):
    g = torch.Generator().manual_seed(size)
    logits = 3 * torch.randn(200, size, generator=g)
    logits[:, ::7] = -torch.inf
    logits[:, -1] = 0.0
    p = logits.softmax(-1)
    u = torch.rand(200, generator=g).clamp(min=2**-25)
    found, expected = categorical(p, u), exact(p, u)
    assert (found == expected).float().mean() > 0.99  # rounding may move a draw across an edge
    assert (p.gather(-1, found[:, None]) > 0).all()


def test_categorical_follows_the_law_also_for_rare_tokens():
    # a vocabulary of 50 000 in which half of the mass lies in tokens of 1e-5 each
    p = torch.full((50_000,), 1e-5)
    p[0] = 0.5
    n = 1_000
    u = (torch.arange(n) + 0.5) / n
    found = torch.cat([categorical(p.expand(len(part), -1), part) for part in u.split(100)])
    assert abs((found == 0).float().mean() - 0.5) < 1e-3
    tail = found[found > 0].float()
    assert abs(tail.mean() / 25_000 - 1) < 0.01


@settings(max_examples=60)
@given(
    weights=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=40).filter(lambda w: max(w) > 0),
    uniform=st.sampled_from([2.0**-25, 0.25, 0.5, 1 - 2.0**-24]),
)
def test_categorical_never_draws_what_has_no_mass(weights, uniform):
    p = torch.tensor([weights])
    index = categorical(p, torch.tensor([uniform]))
    assert 0 <= int(index) < len(weights)
    assert p[0, int(index)] > 0


@pytest.mark.parametrize("row", [[0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0], [1.0, -float("inf")]])
def test_categorical_refuses_a_row_that_is_no_distribution(row):
    with pytest.raises(NumericalError, match="in 1 of 2 rows"):
        categorical(torch.tensor([[0.5, 0.5], row]), torch.tensor([0.5, 0.5]))
