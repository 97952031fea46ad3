"""`sea-adam`: Adam as torch has it, noise that stays out of the state, the released schedule."""

from __future__ import annotations

import pytest
import torch

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.samplers.sea_adam import RELEASED_NOISE, SeaAdam, State, adam
from sea_toolkit.testing.tiny import EOS
from tests.helpers import noise_for, problem_for, warmth


def test_adam_is_torchs():
    g = torch.Generator().manual_seed(0)
    start = torch.randn(1, 2, 3, 4, generator=g)
    theirs = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([theirs], lr=0.1)
    state = State(start, None, torch.zeros_like(start), torch.zeros_like(start), 0, start.long(), start)
    for _ in range(25):
        gradient = torch.randn(start.shape, generator=g) * torch.tensor([1e-6, 1.0, 30.0, 0.0])
        theirs.grad = gradient.clone()
        optimizer.step()
        z, first, second = adam(state, gradient, 0.1)
        state = State(z, None, first, second, state.count + 1, state.ids, state.candidate_log_prob)
        torch.testing.assert_close(z, theirs.detach(), rtol=1e-5, atol=1e-6)


def nothing(response):
    """Depends on the logits, with slope zero."""
    return 0.0 * response.weights.sum((-2, -1))


def test_noise_never_enters_the_state():
    problem = problem_for({"nothing": (1.0, nothing)}, sampler="sea-adam")
    sampler, noise = SeaAdam(noise=3.0, reference_weight=0.0), noise_for(problem)
    state, _ = sampler.init(problem, noise)
    for _ in range(3):
        new, _ = sampler.step(problem, state, noise)
        assert torch.equal(new.logits, state.logits)
        state = new


def perturbation(sampler, progress):
    """How far from the state the gradient is taken, as a standard deviation."""
    problem = problem_for(sampler="sea-adam", chains=4)
    noise, seen = noise_for(problem), []
    state, _ = sampler.init(problem, noise)
    plain = problem.soft
    problem.soft = lambda z, *more: seen.append(z.detach()) or plain(z, *more)
    problem.clock.progress = progress
    sampler.step(problem, state, noise)
    return float((seen[0] - state.logits).std())


@pytest.mark.parametrize(("progress", "quarter"), [(0.0, 0), (0.3, 1), (0.6, 2), (0.8, 3), (1.0, 3)])
def test_the_released_noise_by_quarter(progress, quarter):
    assert perturbation(SeaAdam(), progress) == pytest.approx(RELEASED_NOISE[quarter], rel=0.1)


def test_a_noise_of_ones_own():
    assert perturbation(SeaAdam(noise=0.7), 0.0) == pytest.approx(0.7, rel=0.1)
    assert perturbation(SeaAdam(noise=0.0), 0.0) == 0.0


def test_the_objective_is_scaled_rewards_and_cross_entropy():
    problem = problem_for({"a": (3.0, warmth), "b": (-1.0, lambda r: r.expected_length())}, sampler="sea-adam")
    sampler, noise = SeaAdam(noise=0.0, reference_weight=0.5), noise_for(problem)
    state, _ = sampler.init(problem, noise)
    soft = problem.relax(state.logits, state.candidates, noise)
    rewards = (3.0 * warmth(soft) - soft.expected_length()) / 4.0
    alive = SoftResponse.from_ids(state.ids, (EOS,)).alive
    log_p = problem.policy.logits(
        problem.policy.predictors(problem.prefix, problem.policy.backbone.embedding(state.ids))
    )
    log_p = log_p.log_softmax(-1).gather(-1, state.candidates)
    entropy = -(state.logits.softmax(-1) * log_p).sum(-1)
    expected = rewards + 0.5 * (entropy * alive).sum(-1) / alive.sum(-1)
    _, info = sampler.step(problem, state, noise)
    torch.testing.assert_close(info.metrics["soft_energy"], expected, rtol=1e-4, atol=1e-4)


def test_no_gradient_runs_through_the_policy():
    problem = problem_for(sampler="sea-adam")
    sampler, noise = SeaAdam(), noise_for(problem)
    state, _ = sampler.init(problem, noise)
    sampler.step(problem, state, noise)
    assert problem.ledger.models["policy"].backward == 0


def test_the_first_step_can_decode_to_its_start():
    problem = problem_for(sampler="sea-adam", chains=6)
    sampler = SeaAdam(lm_top_k=128)
    state, info = sampler.init(problem, noise_for(problem))
    assert torch.equal(state.ids, info.scored.ids), "with all tokens allowed the text is the one it starts from"
