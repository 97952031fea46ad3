"""What `tilted` tilts by: the mean gradient of all texts met so far, as far as it stands out from its noise."""

from __future__ import annotations

import pytest
import torch

from sea_toolkit.samplers.shared.tilt import favour_once, token_gradients
from sea_toolkit.samplers.tilted import Tilted
from sea_toolkit.testing.toys import Toy
from tests.helpers import noise_for, problem_for

WIDE = {"name": "tilted", "spread": 1000.0, "clip": 1000.0}


def state_of(gradients):
    """Of the gradients `[texts, V]` of one reward."""
    g = gradients[None, :, None]
    return [
        g.sum(1, keepdim=True),
        g.square().sum(1, keepdim=True),
        torch.tensor(float(len(gradients))).reshape(1, 1, 1, 1),
    ]


def made(options, chains=2):
    return Toy(5, 3, text_term=False).build(options, chains)


def test_a_certain_gradient_counts_in_full_and_noise_hardly():
    sampler, problem = made(WIDE | {"strength": 1.0})
    sign = torch.tensor([1.0, -1.0] * 50)
    gradients = torch.stack([torch.full((100,), -2.0), 2.0 * sign + 0.1, *[torch.zeros(100)] * 3], -1)
    tilt = sampler.proposal.tilt(problem, state_of(gradients))
    assert tilt.shape == (1, 2, 5)
    apart = (tilt - tilt[..., -1:])[0, 0]
    assert float(apart[0]) == pytest.approx(1.2 * 2.0), (
        "a weight of 1.2, and lower energy where the gradient is negative"
    )
    mean, error = 0.1, 2.0**2 / 99
    assert float(apart[1]) == pytest.approx(-1.2 * mean * mean**2 / (mean**2 + error), rel=1e-3)


def test_strength_multiplies_and_spread_and_clip_limit():
    gradients = torch.randn(1, 5, generator=torch.Generator().manual_seed(0)).expand(4, -1)
    tilts = [
        made(WIDE | given)[0].proposal.tilt(made(WIDE)[1], state_of(gradients))
        for given in (
            {"strength": 1.0},
            {"strength": 3.0},
            {"strength": 3.0, "spread": 0.5},
            {"clip": 0.3},
            {"strength": 0.0},
        )
    ]
    torch.testing.assert_close(tilts[1], 3 * tilts[0])
    torch.testing.assert_close(tilts[2].std(-1, correction=0), torch.full((1, 2), 0.5))
    torch.testing.assert_close(tilts[2] / tilts[0], (tilts[2] / tilts[0])[..., :1].expand(1, 2, 5))
    assert float(tilts[3].abs().max()) == pytest.approx(0.3)
    assert not tilts[4].any()


def test_a_reward_without_slope_does_not_tilt():
    sampler, problem = made(WIDE)
    assert not sampler.proposal.tilt(problem, state_of(torch.full((4, 5), 0.7))).any()


def test_every_text_that_was_met_is_in_the_gradient_state():
    problem = problem_for(sampler="tilted", chains=3)

    sampler, noise = Tilted(), noise_for(problem)
    state, info = sampler.init(problem, noise)
    met = [token_gradients(problem, info.scored)]
    for _ in range(3):
        state, info = sampler.step(problem, state, noise)
        met.append(token_gradients(problem, info.scored))
    every = torch.cat(met, 1)
    total, square, count = state.gradient_state
    torch.testing.assert_close(total, every.sum(1, keepdim=True))
    torch.testing.assert_close(square, every.square().sum(1, keepdim=True))
    assert count.flatten().tolist() == [12.0] * len(problem.prompts)


def test_a_tilted_run_writes_more_of_what_the_reward_likes():
    """The reward of `problem_for` likes tokens 30 to 59: proposals hold more of them than the policy's own texts."""
    problem = problem_for(sampler="tilted", chains=8)

    sampler, noise = Tilted(temperature=1.0), noise_for(problem)
    state, info = sampler.init(problem, noise)

    def liked(ids):
        return float(((ids >= 30) & (ids < 60)).float().mean())

    own = liked(info.scored.ids)
    drawn = []
    for _ in range(6):
        state, info = sampler.step(problem, state, noise)
        drawn.append(liked(info.scored.ids))
    assert sum(drawn) / 6 > own + 0.1


def test_a_word_is_favored_once_and_disfavored_always():
    tilt = torch.tensor([[2.0, -1.0, 3.0, 0.5], [2.0, -1.0, 3.0, 0.5]])
    before = torch.tensor([[2, 2, 1], [0, 1, 1]])
    assert favour_once(tilt, before).tolist() == [[2.0, -1.0, 0.0, 0.5], [0.0, -1.0, 3.0, 0.5]]
    assert favour_once(tilt, before[:, :0]).tolist() == tilt.tolist()
