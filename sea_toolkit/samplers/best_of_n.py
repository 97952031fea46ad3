"""The sampler `best-of-n`: draw answers from the policy and keep the best."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from sea_toolkit.core.noise import Noise
from sea_toolkit.lm.decoding import decode
from sea_toolkit.problem.choice import better
from sea_toolkit.problem.problem import Problem
from sea_toolkit.samplers.base import Info, Law, Sampler, select_chains


@dataclass(frozen=True)
class State:
    """The best answers so far of each chain `[P, C, T]`, their unweighted terms `[P, C, M]`."""

    ids: Tensor
    values: Tensor


class BestOfN(Sampler):
    """N independent answers of the policy per prompt, the one of the lowest energy wins. N is the number that comes
    nearest to the budget: answers that end early cost less, and those that are cut into other tokens cost more.

    Chains are drawn side by side, each step one answer per chain; each row stops at its own end of text. The first
    answers come from the recipe's initializer.
    """

    state_type = State
    law = Law.none("each draw is one of the policy, and the kept one is the best of N such draws")
    reads_budget = "last-round"
    first_step = (1.25, 1.0)
    counts_budget = True
    default_chains = 16
    default_budget = 64

    def init(self, problem: Problem, noise: Noise) -> tuple[State, Info]:
        start = problem.start(noise)
        scored = problem.score_as_text(start.ids, start.log_prob)
        return State(start.ids, scored.energies.values()), Info(scored)

    def step(self, problem: Problem, state: State, noise: Noise) -> tuple[State, Info]:
        n = min(problem.chains, max(1, self._affordable(problem)))
        uniform = noise.uniform(n, problem.length)
        drawn = decode(problem.policy, problem.prefix, uniform, ledger=problem.ledger)
        scored = problem.score_as_text(drawn.ids, drawn.log_prob)
        ids, values = state.ids.clone(), state.values.clone()
        wins = better(problem, scored.energies.values(), values[:, :n]) & ~problem.stopped[:, :n]
        ids[:, :n] = select_chains(wins, drawn.ids, ids[:, :n])
        values[:, :n] = select_chains(wins, scored.energies.values(), values[:, :n])
        return State(ids, values), Info(scored)

    def current(self, problem: Problem, state: State) -> Int[Tensor, "P C T"]:
        return state.ids

    def finished(self, problem: Problem, state: State) -> bool:
        """When less than half an answer more is left of the budget."""
        return self._affordable(problem) < 1

    def step_cost(self, problem: Problem, state: State, noise: Noise) -> float:
        return min(problem.chains, self._affordable(problem)) * problem.answer_cost

    def _affordable(self, problem: Problem) -> int:
        """Answers that come nearest to what is left of the budget."""
        left = problem.clock.left
        return problem.chains if left is None else round(left / problem.answer_cost)
