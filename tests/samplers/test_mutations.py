"""Mutants of the exact samplers must fail the very check that the samplers pass."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sea_toolkit.core.noise import Noise
from sea_toolkit.energies.reference import PolicyCost
from sea_toolkit.samplers.base import select_chains
from sea_toolkit.samplers.shared import suffix
from sea_toolkit.samplers.shared.metropolis import Chosen, metropolis, multiple_try
from sea_toolkit.samplers.shared.proposal import PolicyProposal
from sea_toolkit.samplers.shared.suffix import exact
from sea_toolkit.samplers.shared.tilt import TiltedProposal
from sea_toolkit.testing.toys import Toy, measure

TOY = Toy(5, 3, reference=0.5)
SUFFIX = ["suffix-mh", "tilted-exact"]


def assert_red(sampler, **mutation):
    found = measure(TOY, sampler, chains=512, steps=20, burn=15, **mutation)
    assert not found, found
    assert found.tv > 1.5 * found.allowed


@pytest.mark.parametrize("sampler", SUFFIX)
def test_the_originals_are_green(sampler):
    assert measure(TOY, sampler, chains=512, steps=20, burn=15)


@pytest.mark.parametrize("sampler", SUFFIX)
def test_energy_difference_with_the_wrong_sign(sampler):
    def flip(made, problem):
        made.inverse_temperature = -made.inverse_temperature

    assert_red(sampler, tamper=flip)


@pytest.mark.parametrize("sampler", SUFFIX)
@pytest.mark.parametrize("factor", [0.0, -1.0])
def test_proposal_correction_left_out_or_turned_around(sampler, factor):
    def scale(made, problem):
        made.correction = lambda *args: factor * exact(*args)

    assert_red(sampler, tamper=scale)


TRIES = {"name": "suffix-mh", "tries": 3}


@pytest.mark.parametrize("mutant", ["the best try", "as if it were the only try", "without the text it leaves"])
def test_several_tries_with_another_choice_or_ratio(mutant, monkeypatch):
    def changed(noise, log_ratio, proposed, owners, stopped):
        if mutant == "the best try":
            best = log_ratio.unflatten(1, (-1, 3)).argmax(-1)
            test = metropolis(noise, log_ratio.unflatten(1, (-1, 3)).amax(-1), proposed[:, ::3], stopped)
            return Chosen(test.mask, test.rate, best + 3 * torch.arange(best.shape[1]))
        found = multiple_try(noise, log_ratio, proposed, owners, stopped)
        if mutant == "without the text it leaves":
            return replace(found, mask=torch.ones_like(found.mask))
        test = metropolis(noise, log_ratio.gather(1, found.tries), proposed.gather(1, found.tries), stopped)
        return replace(found, mask=test.mask)

    assert measure(TOY, TRIES, chains=512, steps=20, burn=15)
    monkeypatch.setattr(suffix, "multiple_try", changed)
    assert_red(TRIES)


def test_the_way_back_by_the_gradient_of_here(monkeypatch):
    plain = TiltedProposal.log_prob_back

    def from_here(self, problem, state, moved, cut):
        return plain(self, problem, state, state, cut)

    monkeypatch.setattr(TiltedProposal, "log_prob_back", from_here)
    assert_red({"name": "tilted-exact", "strength": 10.0, "spread": 1.5})


def test_the_tilt_out_of_the_ratio():
    def as_policy(proposal, problem, state, moved, drawn, cut):
        policy = PolicyProposal()
        return exact(policy, problem, state, moved, replace(drawn, log_proposal=moved.log_prob[..., cut:]), cut)

    def swap(made, problem):
        made.correction = as_policy

    assert_red("tilted-exact", tamper=swap)


@pytest.mark.parametrize("sampler", SUFFIX)
def test_log_pi_with_the_wrong_weight(sampler, monkeypatch):
    monkeypatch.setattr(PolicyCost, "per_nat", lambda self, length: 2.0 * torch.ones_like(length))
    assert_red(sampler)


class Cut(Noise):
    """The same streams, but the next cut is given."""

    def __init__(self, noise, cut, length):
        self.device, self.generators = noise.device, noise.generators
        self.cut, self.length = cut, length

    def common_uniform(self):
        return (self.cut + 0.5) / self.length


@pytest.mark.parametrize("sampler", SUFFIX)
def test_a_cut_that_depends_on_the_state(sampler):
    """Each row cuts where its first token says; the ratio takes no notice."""

    def step(made, problem, state, noise):
        early, late = (made.step(problem, state, Cut(noise, cut, TOY.length))[0] for cut in (0, 2))
        return select_chains(state.ids[..., 0] <= 2, early, late)

    assert_red(sampler, step=step)
