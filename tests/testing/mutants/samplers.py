"""Broken samplers: the healthy one rewrites ends with the policy and accepts by Metropolis–Hastings."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from sea_toolkit.lm.decoding import decode
from sea_toolkit.samplers.base import OPTIMIZER, Info
from sea_toolkit.samplers.suffix_mh import SuffixMH
from tests.testing.mutants import Mutant, collector

MUTANTS: list[Mutant] = []
mutant = collector("sampler", MUTANTS)


class Search(SuffixMH):
    """The healthy one, without a law, so that it is checked in no time."""

    law = OPTIMIZER


@mutant("builds", inverse_temperature="hot")
class WrongOption(Search):
    """Is given a word for a number."""


@mutant("statements")
class TwoLengths(Search):
    """States steps and a budget."""

    default_steps = 10


@mutant("statements")
class NoLaw(Search):
    """States no law."""

    law = ""


@mutant("ids")
class Cropped(Search):
    """Gives the texts without their last token."""

    def current(self, problem, state):
        return state.ids[..., :-1]


@mutant("start")
class FreshStart(Search):
    """Draws answers of its own and forgets the initializer's."""

    def init(self, problem, noise):
        problem.start(noise)
        drawn = decode(problem.policy, problem.prefix, noise.uniform(problem.chains, problem.length))
        problem.initializer = lambda problem, noise: drawn.ids
        return super().init(problem, noise)


@mutant("law")
class WrongSign(SuffixMH):
    """Accepts by the energy with the wrong sign."""

    def step(self, problem, state, noise):
        self.inverse_temperature, kept = -self.inverse_temperature, self.inverse_temperature
        try:
            return super().step(problem, state, noise)
        finally:
            self.inverse_temperature = kept


@mutant("law")
class NoCorrection(SuffixMH):
    """Leaves the proposal out of the acceptance ratio."""

    def correction(self, problem, state, moved, drawn, cut):
        return 0.0 * super().correction(problem, state, moved, drawn, cut)


@mutant("law")
class Stuck(SuffixMH):
    """Never moves."""

    def step(self, problem, state, noise):
        return state, super().step(problem, state, noise)[1]


@mutant("law")
class Mysterious(SuffixMH):
    """States a law that nobody can compare with."""

    law = "whatever the temperature makes of the energy"


@mutant("needs_gradient")
class Modest(Search):
    """Says that it needs a gradient, and takes energies without one."""

    needs_gradient = True


@mutant("needs_gradient")
class Demanding(Search):
    """Says that it needs no gradient, and refuses energies without one."""

    def init(self, problem, noise):
        problem.require_gradient("demanding")
        return super().init(problem, noise)


@mutant("state")
class InPlace(Search):
    """Overwrites the terms of the state it is given."""

    def step(self, problem, state, noise):
        new, info = super().step(problem, state, noise)
        state.values.copy_(new.values)
        return new, info


@mutant("stopped")
class Restless(Search):
    """Moves chains that are stopped."""

    def step(self, problem, state, noise):
        kept, problem.stopped = problem.stopped, torch.zeros_like(problem.stopped)
        try:
            drawn = decode(problem.policy, problem.prefix, noise.uniform(problem.chains, problem.length))
            return replace(state, ids=drawn.ids), Info(problem.rescore(drawn.ids))
        finally:
            problem.stopped = kept


@mutant("prompts alone")
class Herd(Search):
    """Exchanges the answers of the prompts now and then."""

    def step(self, problem, state, noise):
        new, info = super().step(problem, state, noise)
        ids = torch.where(new.ids.sum() % 2 == 0, new.ids, new.ids.flip(1))
        return replace(new, ids=ids), info


@mutant("repeatable")
class Impatient(Search):
    """Draws from torch's global stream."""

    def step(self, problem, state, noise):
        drawn = decode(problem.policy, problem.prefix, torch.rand(state.ids.shape))
        return replace(state, ids=drawn.ids), Info(problem.rescore(drawn.ids))


@mutant("global random state")
class Seeding(Search):
    """Seeds torch's global stream."""

    def step(self, problem, state, noise):
        torch.manual_seed(0)
        return super().step(problem, state, noise)


@mutant("resume")
class Memory(Search):
    """Keeps a count in the sampler instead of the state."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def step(self, problem, state, noise):
        self.count += 1
        self.inverse_temperature = 1.0 if self.count < 3 else 1000.0
        new, info = super().step(problem, state, noise)
        return new, replace(info, metrics={"count": torch.full(problem.stopped.shape, float(self.count))})


@mutant("budget")
class Lavish(Search):
    """Draws a hundred answers in each step, whatever the budget."""

    def step(self, problem, state, noise):
        uniform = noise.uniform(problem.chains * 20, problem.length)
        decode(problem.policy, problem.prefix, uniform, ledger=problem.ledger)
        return super().step(problem, state, noise)


@dataclass(frozen=True)
class Ids:
    """Responses."""

    ids: torch.Tensor


@mutant("budget")
class Endless(Search):
    """Counts nothing that it spends, so that its budget never ends."""

    state_type = Ids

    def init(self, problem, noise):
        start = problem.start(noise)
        return Ids(start.ids), Info(problem.rescore(start.ids, start.log_prob))

    def step(self, problem, state, noise):
        return state, Info()

    def current(self, problem, state):
        return state.ids


@mutant("ledger")
class Uncounted(Search):
    """Draws answers that the ledger does not know of."""

    def step(self, problem, state, noise):
        decode(problem.policy, problem.prefix, noise.uniform(problem.chains, problem.length))
        return super().step(problem, state, noise)
