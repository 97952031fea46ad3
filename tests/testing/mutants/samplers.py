"""Broken samplers: the healthy one rewrites ends with the policy and accepts by Metropolis–Hastings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.lm.decoding import decode
from sea_toolkit.problem.initializer import as_initializer
from sea_toolkit.registry.blame import Owner
from sea_toolkit.samplers.base import Info, Law
from sea_toolkit.samplers.best_of_n import BestOfN
from sea_toolkit.samplers.shared.suffix import exact
from sea_toolkit.samplers.suffix_mh import SuffixMH
from tests.testing.mutants import Mutant, collector

MUTANTS: list[Mutant] = []
mutant = collector("sampler", MUTANTS)


class Search(SuffixMH):
    """The healthy one, without a law, so that it is checked in no time."""

    law = Law.none()


@mutant("builds", inverse_temperature="hot")
class WrongOption(Search):
    """Is given a word for a number."""


@mutant("builds")
class Lookalike:
    """Has all the methods of a sampler and does not derive from it."""

    init, step, current = SuffixMH.init, SuffixMH.step, SuffixMH.current


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
        own = as_initializer(partial(lambda problem, noise: drawn.ids), Owner("its own"))
        return super().init(replace(problem, initializer=own), noise)


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

    def __init__(self, *, inverse_temperature: float = 1.0):
        super().__init__(inverse_temperature=inverse_temperature)
        self.correction = lambda *args: 0.0 * exact(*args)


@mutant("law")
class Credulous(SuffixMH):
    """Accepts everything; its sentence says that there is no stated bias."""

    law = Law.limit("exactly; there is no stated bias", beta="inverse_temperature")

    def __init__(self, *, inverse_temperature: float = 1.0):
        super().__init__(inverse_temperature=inverse_temperature)
        self.correction = lambda *args: 0.0 * exact(*args) + 50.0


@mutant("law", heat=2.0)
class OtherOption(SuffixMH):
    """Follows another inverse temperature than its law names."""

    law = Law.target(beta="heat")

    def __init__(self, *, heat: float = 1.0):
        super().__init__(inverse_temperature=1.0)


@mutant("law")
class Stuck(SuffixMH):
    """Never moves."""

    def step(self, problem, state, noise):
        return state, super().step(problem, state, noise)[1]


@mutant("law")
class Mysterious(SuffixMH):
    """States a law that nobody can compare with."""

    law = Law.latent("whatever the temperature makes of the energy")


@mutant("needs_gradient")
class Modest(Search):
    """Says that it needs no gradient, and takes that of the whole energy."""

    def init(self, problem, noise):
        state, info = super().init(problem, noise)
        problem.energy(SoftResponse.from_ids(state.ids, problem.policy.eos_ids), problem.terms)
        return state, info


@mutant("needs_gradient")
class Demanding(Modest):
    """Says that a reward with a gradient is enough, and takes that of all."""

    needs_gradient = "any-reward"


@mutant("reads_budget")
class Hasty(Search):
    """Says that it never looks at its budget, and gets colder as the budget is spent."""

    def step(self, problem, state, noise):
        self.inverse_temperature = 1.0 + problem.clock.progress
        return super().step(problem, state, noise)


@mutant("reads_budget")
class Planner(BestOfN):
    """Says that a budget shortens its last round alone, and draws fewer from the first on."""

    law = Law.none()

    def step(self, problem, state, noise):
        if (problem.clock.left or 0) > 100 * problem.chains:
            noise.uniform(1)
        return super().step(problem, state, noise)


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
        kept, problem.run.stopped = problem.stopped, torch.zeros_like(problem.stopped)
        try:
            drawn = decode(problem.policy, problem.prefix, noise.uniform(problem.chains, problem.length))
            return replace(state, ids=drawn.ids), Info(problem.score_as_text(drawn.ids))
        finally:
            problem.run.stopped = kept


@mutant("prompts alone")
class Herd(Search):
    """Exchanges the answers of the prompts now and then."""

    def step(self, problem, state, noise):
        new, info = super().step(problem, state, noise)
        even = (new.ids.sum() % 2 == 0) | problem.stopped.any()
        return replace(new, ids=torch.where(even, new.ids, new.ids.flip(0, 1))), info


@mutant("repeatable")
class Impatient(Search):
    """Draws from torch's global stream."""

    def step(self, problem, state, noise):
        drawn = decode(problem.policy, problem.prefix, torch.rand(state.ids.shape))
        return replace(state, ids=drawn.ids), Info(problem.score_as_text(drawn.ids))


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
        return Ids(start.ids), Info(problem.score_as_text(start.ids, start.log_prob))

    def step(self, problem, state, noise):
        return state, Info()

    def step_cost(self, problem, state, noise):
        return None

    def current(self, problem, state):
        return state.ids


@mutant("ledger")
class Uncounted(Search):
    """Draws answers that the ledger does not know of."""

    def step(self, problem, state, noise):
        decode(problem.policy, problem.prefix, noise.uniform(problem.chains, problem.length))
        return super().step(problem, state, noise)
