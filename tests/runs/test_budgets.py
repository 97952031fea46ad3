"""Budgets are kept: last steps fit what is left, the rest is spent, and no law is bent by it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from sea_toolkit.core.noise import Noise
from sea_toolkit.problem.initializer import as_initializer
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.reread import Reread
from sea_toolkit.registry.blame import Owner
from sea_toolkit.samplers.shared.fitting import fitted
from sea_toolkit.samplers.shared.proposal import PolicyProposal, State
from sea_toolkit.samplers.shared.suffix import SuffixSampler
from sea_toolkit.samplers.shared.tilt import RunningMean, TiltedProposal
from sea_toolkit.testing.toys import EOS, Toy, distance, index_of, law_of
from tests.helpers import endless, hub, problem_for, run_for, tiny_policy

SAMPLERS = [i.name for i in hub().items("sampler")]
FITTING = ["tilted", "tilted-exact", "suffix-mh"]
"""Their steps can be made as small as one new token of one chain."""


def few(response):
    """Prefers a few letters."""
    return -response.probability([5, 6]).sum((-2, -1))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_keeps_small_budgets(sampler):
    """To 5 %, or to half an answer, the smallest piece of work of most samplers, where that is more."""
    policy = endless()
    for budget in (4, 8, 16):
        run = run_for(
            sampler=sampler, budget=budget, chains=None, energies={"few": (1.0, few)}, policy=policy, prompts=["hi"]
        )
        run.execute()
        assert abs(run.problem.ledger.samples - budget) <= max(0.05 * budget, 0.5), budget


@pytest.mark.parametrize("sampler", FITTING)
def test_steps_of_suffixes_spend_a_budget_to_the_token(sampler, monkeypatch):
    monkeypatch.setattr(Reread, "share", 0.0)  # as it is, here
    policy = endless()
    for seed, budget in enumerate((4, 5.3, 8, 9.9, 16)):
        settings = {"sampler": sampler, "budget": budget, "chains": None, "seed": seed, "policy": policy}
        run = run_for(energies={"few": (1.0, few)}, **settings)
        run.execute()
        token = 1.5 * run.problem.chains / run.problem.length  # with its part of the way back
        assert budget - token <= run.problem.ledger.samples <= budget + 1e-6


def test_what_texts_cost_more_than_it_was_known_is_made_up_for():
    """Many of the tiny policy's texts are cut into other tokens, and read a second time."""
    for sampler in ("tilted", "best-of-n"):
        run = run_for(sampler=sampler, budget=24, chains=None, policy=tiny_policy())
        run.execute()
        assert run.problem.run.reread.share > 0.3
        assert run.problem.ledger.samples == pytest.approx(24, abs=1.2)


def test_a_step_fits_what_is_left():
    def cost(chains, cut):
        return chains * (0.5 + (8 - cut) / 8)

    whole = (4, 3, cost(4, 3))
    assert fitted(cost, 4, 8, 3, None) == whole
    assert fitted(cost, 4, 8, 3, 100.0) == whole
    assert fitted(cost, 4, 8, 3, cost(4, 3) + cost(1, 7)) == whole, "enough for another is left"
    assert fitted(cost, 1, 8, 3, cost(1, 2) + 0.1) == (1, 2, cost(1, 2)), "a little more is taken at once"
    assert fitted(cost, 4, 8, 3, cost(4, 3) - 0.01)[:2] == (3, 3), "fewer texts, and another step after this one"
    assert fitted(cost, 4, 8, 3, cost(1, 6)) == (1, 6, cost(1, 6))
    assert fitted(cost, 4, 8, 3, cost(1, 7) - 0.01).cost == float("inf")
    for left in torch.arange(0.63, 9.0, 0.07).tolist():
        spent, rest = 0.0, left
        while (step := fitted(cost, 4, 8, 5, rest)).cost <= rest + 1e-6:
            spent, rest = spent + step.cost, rest - step.cost
        assert left - spent <= 4 / 8


@pytest.mark.parametrize("chains", [1, 3])
def test_chains_are_taken_out_of_a_state(chains):
    """Also from one chain, where what is its own and what all share have the same shape; one head of keys, too."""
    problem, proposal = (
        problem_for(prompts=["a", "b"], chains=chains),
        TiltedProposal(RunningMean(), 4.0, 1.5, 8.0, 0.8),
    )
    own = torch.arange(2.0 * chains).view(2, chains, 1)
    keys = own.reshape(-1, 1, 1, 1)
    sums = [torch.ones(2, 1, 1, 7), torch.ones(2, 1, 1, 7), torch.ones(2, 1, 1, 1)]
    rows = torch.tensor([[2, 0, 0, 2], [1, 2, 2, 1]]) % chains
    taken = proposal.take(problem, rows, State(own.long(), own, own, sums, [(keys, keys + 10)]))
    wanted = rows + chains * torch.arange(2)[:, None]
    assert taken.ids.squeeze(-1).tolist() == wanted.tolist()
    assert taken.gradient_state == sums
    assert taken.layers[0][1].shape == (8, 1, 1, 1)
    assert taken.layers[0][1].flatten().tolist() == (wanted + 10).flatten().tolist()
    other = PolicyProposal().take(problem, rows, State(own.long(), own, own, [own + 5], []))
    assert other.gradient_state[0].squeeze(-1).tolist() == (wanted + 5).tolist()


# --- laws


TOY = Toy(5, 3, reference=0.5)


def in_the_law(prompts, chains, seed):
    """Independent draws `[P, C, T]`."""
    g = torch.Generator().manual_seed(seed)
    rows = torch.tensor([[*r, *[EOS] * (TOY.length - len(r))] for r in TOY.responses])
    return rows[torch.multinomial(law_of(TOY), prompts * chains, True, generator=g)].view(prompts, chains, -1)


def at_the_end(sampler, budget, prompts=400, chains=2):
    """Where chains that begin in the law are when a budget is spent, after steps of fewer chains and other cuts."""
    visits, fewer = [], 0
    for seed in range(6):  # all prompts share their cuts
        made, problem = TOY.build(sampler, chains, prompts=prompts)
        begin = as_initializer(
            partial(lambda problem, noise, ids: ids, ids=in_the_law(prompts, chains, seed)), Owner("it")
        )
        problem, noise = replace(problem, initializer=begin), Noise.for_prompts(problem.prompts, seed)
        state, _ = made.init(problem, noise)
        left = problem.clock.left = budget
        while (cost := made.step_cost(problem, state, noise)) <= left:
            state, info = made.step(problem, state, noise)
            fewer += info.scored.ids.shape[1] < chains * made.tries
            left = problem.clock.left = left - cost
        visits.append(torch.nn.functional.one_hot(index_of(TOY, state.ids), len(TOY.responses)).double().mean(1))
    assert fewer >= 2
    return distance(torch.cat(visits), law_of(TOY))


@pytest.mark.parametrize("sampler", ["suffix-mh", "tilted-exact", {"name": "suffix-mh", "tries": 2}])
def test_a_budget_that_ends_in_smaller_steps_bends_no_law(sampler):
    found = at_the_end(sampler, 2.7)
    assert found.ess > 3000
    assert found, found


def test_steps_for_the_chains_that_need_them_most_would(monkeypatch):
    def lowest(self, problem, state, texts):
        return problem.total_energy(state.values).topk(texts, largest=False).indices

    monkeypatch.setattr(SuffixSampler, "owners", lowest)
    found = at_the_end("suffix-mh", 1.3)
    assert not found, found


def test_what_texts_really_cost_does_not_move_the_steps_of_a_law(monkeypatch):
    """A sampler with a law goes the same way whatever its texts cost; one without a law makes up for it."""
    score = Problem.score_as_text
    taken = {}
    for sampler in ("suffix-mh", "tilted"):
        for factor in (0, 1):
            begun = []

            def charged(self, ids, *args, factor=factor, begun=begun, **options):
                if begun:  # after the start, which counts as it is
                    dear = factor * int((ids == ids[0, 0, 0]).sum())
                    self.ledger.forward("policy", dear, self.policy.body_parameters)
                begun.append(True)
                return score(self, ids, *args, **options)

            monkeypatch.setattr(Problem, "score_as_text", charged)
            run = run_for(sampler=sampler, budget=16, chains=2, energies={"few": (1.0, few)}, policy=endless())
            run.execute()
            taken[sampler, factor] = run.step, run.state.ids.tolist()
    assert taken["suffix-mh", 0] == taken["suffix-mh", 1]
    assert taken["tilted", 0][0] > taken["tilted", 1][0]
