"""Chains that keep a prefix of random length and draw the rest anew: a proposal and an acceptance rule, put together.

`suffix-mh`, `tilted` and `tilted-exact` are such pairs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sea_toolkit.core.noise import Noise
from sea_toolkit.lm.decoding import Decoded
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.scores import Scored
from sea_toolkit.registry.options import Number
from sea_toolkit.samplers.base import Info, Sampler, select_chains
from sea_toolkit.samplers.shared.fitting import Fitted, fitted
from sea_toolkit.samplers.shared.metropolis import multiple_try
from sea_toolkit.samplers.shared.proposal import Proposal, State

Correction = Callable[[Proposal, Problem, State, State, Decoded, int], Tensor]
"""`correction(proposal, problem, state, moved, drawn, cut)`: what is added to `β · (E(y) − E(y'))`, `[P, C]`."""


def exact(
    proposal: Proposal, problem: Problem, state: State, moved: State, drawn: Decoded, cut: int
) -> Float[Tensor, "P C"]:
    """log q(y|y') − log q(y'|y) of the suffixes: with it the chains keep exp(−β E)."""
    return proposal.log_prob_back(problem, state, moved, cut).sum(-1) - drawn.log_proposal.sum(-1)


def search(
    proposal: Proposal, problem: Problem, state: State, moved: State, drawn: Decoded, cut: int
) -> Float[Tensor, "P C"]:
    """0, as if forward and backward proposals were equally likely: the chains search for a low energy."""
    return torch.zeros_like(drawn.log_prob[..., 0])


class SuffixSampler(Sampler, abstract=True):
    """Suffixes drawn by a proposal and accepted by a rule; a sampler chooses both in its constructor.

    Attributes:
        proposal: how suffixes are drawn.
        correction: `exact` or `search`.
        inverse_temperature: β.
        tries: texts that are proposed for each chain in a step.
    """

    state_type = State
    reads_budget = "last-round"
    first_step = (2.0, 2.0)

    def __init__(self, proposal: Proposal, correction: Correction, inverse_temperature: Number, tries: int = 1) -> None:
        self.proposal, self.correction, self.inverse_temperature = proposal, correction, inverse_temperature
        self.tries = tries

    def init(self, problem: Problem, noise: Noise) -> tuple[State, Info]:
        start = self.proposal.start(problem, noise)
        scored = problem.score_as_text(start.ids, start.log_prob, gradients=self.proposal.reads_gradient != "none")
        assert start.layers is not None
        gradient_state = self.proposal.update_gradient_state(problem, scored, None)
        return State(start.ids, start.log_prob, scored.energies.values(), gradient_state, start.layers), Info(scored)

    def step(self, problem: Problem, state: State, noise: Noise) -> tuple[State, Info]:
        if problem.is_time_dependent:
            state = self._rescored(problem, state)
        planned = self._fitted(problem, noise.common_uniform())
        owners = self.owners(problem, state, planned.texts)
        tries, kept = replace(problem, chains=planned.texts), self.proposal.take(problem, owners, state)
        moved, scored, drawn = self._propose(tries, kept, noise, planned.cut)
        energy, proposed = problem.total_energy(kept.values), scored.energies.total
        beta = problem.clock.value(self.inverse_temperature)
        log_ratio = beta * (energy - proposed) + self.correction(self.proposal, tries, kept, moved, drawn, planned.cut)
        accepted = multiple_try(noise, log_ratio, proposed, owners, problem.stopped)
        chosen = self.proposal.take(tries, accepted.tries, moved)
        new = self._select(accepted.mask, chosen, state)
        metrics = accepted.metrics | {
            "changed": accepted.mask.float() * (chosen.ids != state.ids).any(-1),
            "cut": torch.full_like(accepted.rate, planned.cut),
            "chain_energy": problem.total_energy(new.values),
        }
        return new, Info(scored, metrics)

    def owners(self, problem: Problem, state: State, texts: int) -> Int[Tensor, "P n"]:
        """The chain that each proposed text is a try of. If there are fewer than for all chains, the first ones have
        them, whatever their texts are."""
        return (torch.arange(texts, device=state.ids.device) // self.tries).expand(len(problem.prompts), -1)

    def current(self, problem: Problem, state: State) -> Int[Tensor, "P C T"]:
        return state.ids

    def step_cost(self, problem: Problem, state: State, noise: Noise) -> float:
        """By where the next step will cut."""
        return self._fitted(problem, noise.peek_common_uniform()).cost

    def _fitted(self, problem: Problem, uniform: float) -> Fitted:
        """The next step, as the budget allows it."""
        cost, texts = functools.partial(self._cost, problem), problem.chains * self.tries
        return fitted(cost, texts, problem.length, self._cut(problem, uniform), problem.clock.left)

    def _cost(self, problem: Problem, texts: int, cut: int) -> float:
        """What a step that proposes so many texts costs in samples, with that cut."""
        proposal, scoring = self.proposal, problem.samples_of(0.0, 1.0)
        gradient = proposal.gradient_flops(problem)
        again = problem.chains * (scoring + gradient / problem.sample_flops) if problem.is_time_dependent else 0.0
        gradient += proposal.flops_back(problem, cut) if self.correction is exact else 0.0
        each = problem.drawing_cost(problem.length - cut) + problem.reading_cost + scoring
        return texts * (each + gradient / problem.sample_flops) + again

    def _cut(self, problem: Problem, uniform: float) -> int:
        """How many tokens are kept."""
        return min(problem.length - 1, int(uniform**self.proposal.cut_power * problem.length))

    def _propose(self, problem: Problem, state: State, noise: Noise, cut: int) -> tuple[State, Scored, Decoded]:
        """Texts with new suffixes, scored."""
        proposal = self.proposal
        drawn, gradient_state = proposal.draw(problem, state, cut, noise)
        assert drawn.layers is not None
        ids = torch.cat([state.ids[..., :cut], drawn.ids], -1)
        log_prob = torch.cat([state.log_prob[..., :cut], drawn.log_prob], -1)
        scored = problem.score_as_text(ids, log_prob, gradients=proposal.reads_gradient == "all")
        gradient_state = proposal.update_gradient_state(problem, scored, gradient_state)
        return State(ids, log_prob, scored.energies.values(), gradient_state, drawn.layers), scored, drawn

    def _rescored(self, problem: Problem, state: State) -> State:
        """The state with its terms scored by the current energy."""
        scored = problem.score_as_text(state.ids, state.log_prob, gradients=self.proposal.reads_gradient == "all")
        gradient_state = self.proposal.update_gradient_state(problem, scored, state.gradient_state)
        return replace(state, values=scored.energies.values(), gradient_state=gradient_state)

    def _select(self, mask: Bool[Tensor, "P C"], moved: State, state: State) -> State:
        gradient_state = self.proposal.select_gradient_state(mask, moved.gradient_state, state.gradient_state)
        chains = select_chains(mask, replace(moved, gradient_state=[]), replace(state, gradient_state=[]))
        return replace(chains, gradient_state=gradient_state)
