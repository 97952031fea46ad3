"""`discrete-langevin` samples exp(−β E), and its mutants do not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sea_toolkit.core.noise import Noise
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.energies.reference import PolicyCost
from sea_toolkit.samplers.discrete_langevin import DiscreteLangevin, token_gradient_at
from sea_toolkit.testing.toys import EOS, Toy, measure

TOY = Toy(5, 3, reference=0.5)
NAME = "discrete-langevin"
CASES = [
    (TOY, {"step_size": 1.0}),
    (Toy(6, 2), {"distance": "one-hot", "step_size": 0.5}),
    (Toy(4, 4), {"distance": "one-hot", "step_size": 0.6, "inverse_temperature": 2.0}),
]


@pytest.mark.parametrize(("toy", "options"), CASES)
def test_the_chains_follow_the_law(toy, options):
    beta = options.get("inverse_temperature", 1.0)
    found = measure(toy, {"name": NAME, **options}, beta=beta, burn=40)
    assert found.ess > 3000
    assert found, found


def test_the_gradient_is_that_of_the_whole_energy():
    """Against differences of the relaxed energy, the LM that reads the tokens included."""
    problem = TOY.problem(NAME, 2)
    ids = torch.tensor([[[1, 3, 2], [2, 1, EOS]]])
    gradient = token_gradient_at(problem, ids)
    hot = torch.nn.functional.one_hot(ids, TOY.vocab).float()

    def energy(weights):
        with torch.no_grad():
            return problem.energy(SoftResponse.from_weights(weights, None, (EOS,))).total

    h = 1e-2
    for t in range(TOY.length):
        for v in range(TOY.vocab):
            up, down = hot.clone(), hot.clone()
            up[:, :, t, v] += h
            down[:, :, t, v] -= h
            numeric = (energy(up) - energy(down)) / (2 * h)
            torch.testing.assert_close(gradient[:, :, t, v], numeric, atol=2e-2, rtol=2e-2)


def test_the_gradient_runs_through_the_lm():
    problem = TOY.problem(NAME, 1)
    ids = torch.tensor([[[1, 3, 2]]])
    whole = token_gradient_at(problem, ids)
    detached = TOY.problem(NAME, 1, gradient="inputs-detached")
    assert float((token_gradient_at(detached, ids) - whole)[0, 0, 0].abs().max()) > 0.1


def test_tokens_after_the_end_have_no_gradient():
    problem = TOY.problem(NAME, 1)
    gradient = token_gradient_at(problem, torch.tensor([[[1, EOS, EOS]]]))
    assert bool((gradient[0, 0, 2] == 0).all())
    assert float(gradient[0, 0, 1].abs().max()) > 0.1


@pytest.mark.parametrize("distance", ["embedding", "one-hot"])
def test_a_smaller_step_changes_fewer_tokens(distance):
    changed = []
    for size in (0.05, 2.0):
        sampler, problem = TOY.build({"name": NAME, "distance": distance, "step_size": size}, 256)
        state = sampler.init(problem, Noise.for_prompts(problem.prompts, 0))[0]
        found = sampler.proposal(problem, state).exp()
        stays = found.gather(-1, state.ids[..., None])
        changed.append(1 - float(stays.mean()))
        assert bool(((found.sum(-1) - 1).abs() < 1e-5).all())
    assert changed[0] < 0.05 < 0.3 < changed[1]


def test_the_distances_are_those_of_the_embeddings():
    problem = TOY.problem(NAME, 1)
    ids = torch.tensor([[[1, 3, EOS]]])
    found = DiscreteLangevin()._squared_distance(problem, ids)[0, 0]
    table = problem.policy.table
    every = torch.cdist(table, table).square()
    torch.testing.assert_close(found, every[ids[0, 0]] / every.mean(), atol=1e-5, rtol=1e-4)


def assert_red(**mutation):
    found = measure(TOY, {"name": NAME, "step_size": 1.0}, chains=512, steps=20, burn=30, **mutation)
    assert not found, found
    assert found.tv > 1.25 * found.allowed


def mutated(monkeypatch, change):
    plain = DiscreteLangevin.correction
    monkeypatch.setattr(DiscreteLangevin, "correction", lambda *args: change(plain, *args))


def test_the_original_is_green():
    assert measure(TOY, {"name": NAME, "step_size": 1.0}, chains=512, steps=20, burn=30)


def test_energy_difference_with_the_wrong_sign(monkeypatch):
    def flip(plain, self, problem, state, moved, forth):
        return plain(self, problem, state, moved, forth) - 2 * (
            problem.total_energy(state.values) - problem.total_energy(moved.values)
        )

    mutated(monkeypatch, flip)
    assert_red()


@pytest.mark.parametrize("factor", [0.0, -1.0])
def test_correction_left_out_or_turned_around(factor, monkeypatch):
    mutated(monkeypatch, lambda plain, *args: factor * plain(*args))
    assert_red()


def test_the_way_back_by_the_gradient_of_here(monkeypatch):
    def here(plain, self, problem, state, moved, forth):
        return plain(self, problem, state, replace(moved, token_gradient=state.token_gradient), forth)

    mutated(monkeypatch, here)
    assert_red()


def test_tokens_after_the_end_counted(monkeypatch):
    def all_of_them(problem, log_probs, ids):
        return log_probs.gather(-1, ids[..., None]).squeeze(-1).sum(-1)

    monkeypatch.setattr(DiscreteLangevin, "_log_q", staticmethod(all_of_them))
    assert_red()


def test_log_pi_with_the_wrong_weight(monkeypatch):
    monkeypatch.setattr(PolicyCost, "per_nat", lambda self, length: 2.0 * torch.ones_like(length))
    assert_red()
