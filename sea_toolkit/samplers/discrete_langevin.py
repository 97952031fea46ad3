"""The sampler `discrete-langevin`: all positions move at once along the gradient, then Metropolis–Hastings (DMALA,
Zhang et al. 2022, arXiv 2206.09914).

    q_t(v | y) ∝ exp(−½ β · (∂E/∂p_t(v) − ∂E/∂p_t(y_t)) − d(v, y_t)² / 2α),    d the distance of tokens

With an energy that reads the response through embeddings the first difference is ⟨∂E/∂e_t, e_v − e_{y_t}⟩, as in the
paper. E is the whole energy, −log π with its gradient through the LM included.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from sea_toolkit.core.noise import Noise, categorical
from sea_toolkit.core.response import SoftResponse, after_end
from sea_toolkit.problem.problem import Problem
from sea_toolkit.registry.options import Number
from sea_toolkit.samplers.base import Info, Law, Sampler, select_chains
from sea_toolkit.samplers.shared.metropolis import metropolis
from sea_toolkit.samplers.shared.potential import is_time_dependent

SMALLEST = torch.finfo(torch.float32).tiny
"""Below it a float32 divisor is 0."""


@dataclass(frozen=True)
class State:
    """Where the chains are.

    Attributes:
        ids: `[P, C, T]`, the end of text repeated after the end.
        values: `[P, C, M]`, the text's unweighted terms.
        token_gradient: `[P, C, T, V]`, ∂E/∂p_t(v) of the terms that have one, at `ids`, by the weights of that step.
    """

    ids: Tensor
    values: Tensor
    token_gradient: Tensor


class DiscreteLangevin(Sampler):
    """Propose a token for every position independently of the others; accept all of them or none, with probability
    `min(1, exp(β · (E(y) − E(y'))) · q(y | y') / q(y' | y))` on the re-scored energy.

    A proposal ends at its first end-of-text token, and only the tokens up to it count in q: the tokens after it, summed
    over all possibilities, have probability one. Positions after the end of y propose around the end-of-text token.
    Terms without a gradient take part in the acceptance alone.

    A step costs one pass over the response forward and back through the LM, its head over the whole vocabulary
    and every reward model, and `[P, C, T, V]` numbers of memory, besides scoring the text.

    Args:
        step_size: α; a larger one moves more tokens at once, and is rejected more often. The more tokens there are, the
            smaller it must be: about 1 / 2 log(V T) changes one token per step where the gradient is small.
        distance: "embedding": Euclidean, between the policy's token embeddings, in units of the root mean square
            distance of two tokens; "one-hot": 1 between any two tokens, so that α does not tell them apart.
        inverse_temperature: β; 1 samples exp(−E).
    """

    state_type = State
    law = Law.target(beta="inverse_temperature")
    needs_gradient = "any-term"
    reads_budget = "never"
    first_step = (7.0, 7.0)

    def __init__(
        self,
        *,
        step_size: Annotated[Number, Field(gt=0)] = 0.04,
        distance: Literal["embedding", "one-hot"] = "embedding",
        inverse_temperature: Annotated[Number, Field(gt=0)] = 1.0,
    ) -> None:
        self.step_size, self.distance, self.inverse_temperature = step_size, distance, inverse_temperature

    def init(self, problem: Problem, noise: Noise) -> tuple[State, Info]:
        start = problem.start(noise)
        scored = problem.score_as_text(start.ids, start.log_prob)
        ids = self._ended(problem, start.ids)
        return State(ids, scored.energies.values(), token_gradient_at(problem, ids)), Info(scored)

    def step(self, problem: Problem, state: State, noise: Noise) -> tuple[State, Info]:
        if problem.is_time_dependent:
            state = replace(state, values=problem.score_as_text(state.ids).energies.values())
        if is_time_dependent(problem):
            state = replace(state, token_gradient=token_gradient_at(problem, state.ids))
        forth = self.proposal(problem, state)
        uniform = noise.uniform(problem.chains, problem.length).to(state.ids.device)
        ids = self._ended(problem, categorical(forth.exp(), uniform))
        scored = problem.score_as_text(ids)
        moved = State(ids, scored.energies.values(), token_gradient_at(problem, ids))
        energy, proposed = problem.total_energy(state.values), scored.energies.total
        beta = problem.clock.value(self.inverse_temperature)
        log_ratio = beta * (energy - proposed) + self.correction(problem, state, moved, forth)
        accepted = metropolis(noise, log_ratio, proposed, problem.stopped)
        metrics = accepted.metrics | {
            "changed": (ids != state.ids).sum(-1).float(),
            "gradient_norm": state.token_gradient.flatten(2).norm(dim=-1),
            "chain_energy": torch.where(accepted.mask, proposed, energy),
        }
        return select_chains(accepted.mask, moved, state), Info(scored, metrics)

    def proposal(self, problem: Problem, state: State) -> Float[Tensor, "P C T V"]:
        """log q_t(v | y) at every position."""
        beta, alpha = problem.clock.value(self.inverse_temperature), problem.clock.value(self.step_size)
        # what does not depend on v cancels in the softmax; the token itself is at distance 0, also for the smallest α
        far = self._squared_distance(problem, state.ids) / max(2 * alpha, SMALLEST)
        scores = -0.5 * beta * state.token_gradient - far
        return problem.policy.forbid(scores).log_softmax(-1)

    def correction(self, problem: Problem, state: State, moved: State, forth: Tensor) -> Float[Tensor, "P C"]:
        """log q(y|y') − log q(y'|y), over the tokens up to the end."""
        back = self.proposal(problem, moved)
        return self._log_q(problem, back, state.ids) - self._log_q(problem, forth, moved.ids)

    def current(self, problem: Problem, state: State) -> Int[Tensor, "P C T"]:
        return state.ids

    @staticmethod
    def _log_q(problem: Problem, log_probs: Float[Tensor, "P C T V"], ids: Tensor) -> Float[Tensor, "P C"]:
        log_q = log_probs.gather(-1, ids[..., None]).squeeze(-1)
        return log_q.masked_fill(after_end(ids, problem.policy.eos_ids), 0.0).sum(-1)

    def _squared_distance(self, problem: Problem, ids: Tensor) -> Float[Tensor, "P C T V"]:
        size = problem.policy.vocab_size
        if self.distance == "one-hot":
            return torch.ones(*ids.shape, size, device=ids.device).scatter(-1, ids[..., None], 0.0)
        table = problem.policy.table[:size].float()
        norms = table.square().sum(-1)
        # of two different tokens drawn at random: 2 · (mean of squares − square of the mean)
        unit = 2 * (norms.mean() - table.mean(0).square().sum())
        embeds = table[ids]
        return ((embeds.square().sum(-1, keepdim=True) - 2 * embeds @ table.T + norms) / unit).clamp(min=0.0)

    @staticmethod
    def _ended(problem: Problem, ids: Int[Tensor, "P C T"]) -> Int[Tensor, "P C T"]:
        """The ids with the first end-of-text token repeated after it."""
        return ids.masked_fill(after_end(ids, problem.policy.eos_ids), problem.policy.eos_ids[0])


def token_gradient_at(problem: Problem, ids: Int[Tensor, "P C T"]) -> Float[Tensor, "P C T V"]:
    """∂E/∂p_t(v) of the differentiable terms at a hard response, for every token of the vocabulary."""
    weights = torch.nn.functional.one_hot(ids, problem.policy.vocab_size).float().requires_grad_()
    response = SoftResponse.from_weights(weights, None, problem.policy.eos_ids)
    energies = problem.energy(response)
    return problem.gradient(energies.total, weights, response, energies)
