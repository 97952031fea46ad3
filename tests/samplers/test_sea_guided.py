"""`sea-guided` and `sea-guided-exact`: the dynamics of the biases, what they do to the policy, the law over texts."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from sea_toolkit.lm.decoding import Decoded
from sea_toolkit.samplers.sea_guided import SeaGuided, SeaGuidedExact
from sea_toolkit.samplers.shared.guide import MARGIN, RANGE, FixedGuide, embedding_directions
from sea_toolkit.samplers.shared.suffix import exact
from sea_toolkit.testing.toys import Toy, measure
from tests.helpers import noise_for, problem_for
from tests.problem.test_compass import warm

STRONG = {"name": "sea-guided-exact", "spread": 1.0, "strength": 20.0, "noise": 1.0, "clip": 2.0}
TOY = Toy(5, 3, reference=0.5)


def guided(chains=2, strength=50.0, **options):
    """A proposal, its problem and the state of its chains after the start."""
    problem = problem_for(sampler="sea-guided", chains=chains)
    sampler = SeaGuided(strength=strength, **options)
    state, _ = sampler.init(problem, noise_for(problem))
    return sampler.proposal, problem, state


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_the_biases_behind_the_cut_keep_their_gaussian(eta):
    proposal, problem, state = guided(chains=200, noise=1.5, step_size=eta, spread=2.0)
    *memory, bias = state.gradient_state
    noise, kept = noise_for(problem, 3), []
    for step in range(60):
        bias = proposal.moved(problem, memory, bias, 2, noise)
        if step >= 30:
            kept.append(bias[0, :, 2:])
    stay = torch.stack(kept)  # [steps, C, T − 2, B]
    assert not bias[:, :, :2].any(), "what is kept does not move"
    center = proposal.center(problem, memory)[0, 0, 0]
    assert float(center[0]) == pytest.approx(2.0), "strong enough, so that the spread decides"
    assert not center[1:].any()
    torch.testing.assert_close(stay.mean((0, 1, 2)), center, atol=0.02, rtol=0)
    spread = stay.flatten(0, 2).std(0)
    torch.testing.assert_close(spread, torch.full_like(spread, 1.5 / len(spread) ** 0.5), rtol=0.03, atol=0)
    between = ((stay[1:] - center) * (stay[:-1] - center)).mean() / (stay - center).square().mean()
    assert float(between) == pytest.approx(1.0 - eta, abs=0.02)


def test_the_bias_of_a_position_is_added_to_its_logits():
    proposal, problem, state = guided(temperature=0.5, clip=0.4)
    *memory, _ = state.gradient_state
    bias = torch.randn(1, 2, problem.length, 1 + len(embedding_directions(problem)), generator=torch.manual_seed(0))
    process = proposal.logits_processor(problem, [*memory, bias])
    log_probs = torch.randn(2, 128).log_softmax(-1)
    ids = torch.tensor([[5, 6, 7], [5, 5, 9]])
    found = process(ids, log_probs, torch.arange(2))
    directions = torch.cat([proposal.unit_direction(problem, memory)[0][0], embedding_directions(problem)])
    torch.testing.assert_close(directions.mean(-1), torch.zeros(len(directions)), atol=1e-5, rtol=0)
    torch.testing.assert_close(directions.std(-1, correction=0), torch.ones(len(directions)))
    guide = (bias[0, :, 3] @ directions).clamp(-0.4, 0.4)
    for row in range(2):
        again = guide[row, ids[row]]
        guide[row, ids[row]] = again.clamp(max=0.0)
    torch.testing.assert_close(found, log_probs + guide / 0.5, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("cost", "moved"), [(2.4, 0.075), (3.5, -0.2), (100.0, math.log(RANGE[0])), (0.1, math.log(RANGE[1]))]
)
def test_the_spread_follows_the_cost_of_new_tokens(cost, moved):
    proposal, problem, state = guided(gain=0.5)
    before, half = state.gradient_state[-2], problem.length // 2
    ids = torch.full((1, 2, problem.length), 9)
    start = replace(state, ids=ids, log_prob=torch.full((1, 2, problem.length), -3.0))
    new = torch.full((1, 2, half), -cost)
    pace = proposal.paced(problem, before, start, Decoded(ids[..., half:], new, new, None), half)
    assert pace[0, 0].tolist() == pytest.approx([moved, MARGIN * 3.0]), "half of the tokens are new: half as far"
    later = replace(start, log_prob=start.log_prob * 2)
    again = proposal.paced(problem, pace, later, Decoded(ids[..., half:], new, new, None), half)
    assert float(again[0, 0, 1]) == float(pace[0, 0, 1]), "that of the starting texts, whatever the chains hold later"
    lengths = [float(proposal.unit_direction(problem, [*state.gradient_state[:3], p])[1]) for p in (before, pace)]
    assert lengths[1] / lengths[0] == pytest.approx(math.exp(moved))


def test_a_rejected_text_leaves_its_biases_and_keeps_its_gradient():
    problem = problem_for(sampler="sea-guided", chains=3)
    sampler, noise = SeaGuided(noise=1.0), noise_for(problem)
    state, _ = sampler.init(problem, noise)
    problem.run.stopped[:] = True  # nothing is accepted
    after, _ = sampler.step(problem, state, noise)
    assert torch.equal(after.ids, state.ids)
    assert torch.equal(after.gradient_state[-1], state.gradient_state[-1])
    assert float(after.gradient_state[2].max()) == 6.0, "texts that were met"


@pytest.mark.parametrize(("toy", "beta"), [(Toy(4, 4), 1.0), (Toy(5, 3), 2.0)])
def test_the_texts_follow_the_law(toy, beta):
    found = measure(toy, {"name": "sea-guided-exact", "inverse_temperature": beta}, beta=beta, chains=256)
    assert found.ess > 1500
    assert found, found


def strong(**mutation):
    return measure(TOY, STRONG, chains=320, steps=15, burn=25, **mutation)


def test_a_strong_guide_changes_how_fast_and_not_where_to():
    found = strong()
    assert found, found


def assert_red(found):
    assert not found, found
    assert found.tv > 1.5 * found.allowed


def test_a_way_back_by_the_policy_is_seen(monkeypatch):
    monkeypatch.setattr(FixedGuide, "log_prob_back", lambda self, problem, state, moved, cut: state.log_prob[..., cut:])
    assert_red(strong())


@pytest.mark.parametrize("factor", [0.0, -1.0])
def test_a_ratio_left_out_or_turned_around_is_seen(factor):
    def scale(made, problem):
        made.correction = lambda *args: factor * exact(*args)

    assert_red(strong(tamper=scale))


def test_a_way_back_by_the_biases_of_now_is_seen(monkeypatch):
    plain = FixedGuide.draw

    def forgets(self, problem, state, cut, noise):
        drawn, (direction, log_q, bias) = plain(self, problem, state, cut, noise)
        *_, old = state.gradient_state
        return drawn, [direction, torch.where((old == 0).all(-1), log_q, log_q.roll(1, 1)), bias]

    monkeypatch.setattr(FixedGuide, "draw", forgets)
    assert_red(strong())


def test_the_exact_form_takes_gradients_of_the_starting_texts_alone():
    problem = problem_for(sampler="sea-guided-exact")
    sampler, noise = SeaGuidedExact(), noise_for(problem)
    state, _ = sampler.init(problem, noise)
    spent = problem.ledger.models["policy"].backward
    direction = state.gradient_state[0]
    after, info = sampler.step(problem, state, noise)
    assert info.scored.token_gradients is None
    assert torch.equal(after.gradient_state[0], direction)
    assert problem.ledger.models["policy"].backward == spent


def test_a_compass_guides_the_first_texts_but_for_the_first_chain(tmp_path):
    """Tokens 30 to 59 are liked."""
    problem = problem_for(warm(tmp_path / "warmth.safetensors"), sampler="sea-guided", chains=24)
    state, _ = SeaGuided(temperature=1.0).init(problem, noise_for(problem))
    plain = problem_for(sampler="sea-guided", chains=24)
    without, _ = SeaGuided(temperature=1.0).init(plain, noise_for(plain))
    assert torch.equal(state.ids[:, 0], without.ids[:, 0])
    liked = [float(((ids >= 30) & (ids < 60)).float().mean()) for ids in (without.ids, state.ids)]
    assert liked[1] > liked[0] + 0.15
