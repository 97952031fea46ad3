"""The sampler `smc`: sequential Monte Carlo on prefixes, twisted by the reward (Zhao et al. 2024, arXiv 2404.17546; Lew
et al. 2023, arXiv 2306.03081).

Particles are drawn from the policy, chunk by chunk, and weighted towards

    γ_t(y_≤t) ∝ π(y_≤t | x)^(β w_ref) · exp(−β · twist · E_rewards(x, y_≤t)),    in the end exp(−β E(x, y)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from sea_toolkit.core.noise import Noise
from sea_toolkit.lm.decoding import decode
from sea_toolkit.problem.problem import Problem
from sea_toolkit.registry.options import Number
from sea_toolkit.samplers.base import Info, Law, Sampler, select_chains
from sea_toolkit.samplers.shared.left_to_right import (
    PassCost,
    drawing_cost,
    ended,
    ends_of,
    energy_so_far,
    padded,
    scoring_cost,
    take_rows,
    weighted_log_prob,
)


@dataclass(frozen=True)
class State:
    """One response per chain `[P, C, T]`, drawn from the weighted particles of the last pass."""

    ids: Tensor


class Smc(Sampler):
    """N particles per prompt; where the effective sample size falls below a part of N they are resampled
    (systematically). A step is one whole pass, from the first token to the last; the chains are then drawn from the
    particles by weight, and the best particle of all passes is kept.

    A pass costs N answers and the scoring of every prefix. Where the budget does not pay for that, N is smaller.

    Args:
        particles: N, at most.
        chunk: tokens drawn between two weightings.
        twist: how much of the rewards' energy of a text so far counts; 0 weighs whole answers only.
        ess_threshold: resample below this part of N; 1 resamples after every chunk, 0 never.
        inverse_temperature: β; 1 samples exp(−E), larger values search.
    """

    state_type = State
    law = Law.limit("as particles → ∞", beta="inverse_temperature")
    default_chains = 1

    def __init__(
        self,
        *,
        particles: Annotated[int, Field(gt=0)] = 16,
        chunk: Annotated[int, Field(gt=0)] = 8,
        twist: Annotated[Number, Field(ge=0)] = 1.0,
        ess_threshold: Annotated[float, Field(ge=0, le=1)] = 0.5,
        inverse_temperature: Annotated[Number, Field(gt=0)] = 1.0,
    ) -> None:
        self.particles, self.chunk, self.twist = particles, chunk, twist
        self.ess_threshold, self.inverse_temperature = ess_threshold, inverse_temperature

    def init(self, problem: Problem, noise: Noise) -> tuple[State, Info]:
        start = problem.start(noise)
        return State(start.ids), Info(problem.score_as_text(start.ids, start.log_prob))

    def step(self, problem: Problem, state: State, noise: Noise) -> tuple[State, Info]:
        ends = ends_of(problem.length, self.chunk)
        n = self._pass_cost(problem).affordable(problem)
        beta = problem.clock.value(self.inverse_temperature)
        p, device = len(problem.prompts), problem.policy.device
        ids, layers = torch.empty(p, n, 0, dtype=torch.long, device=device), None
        log_prob = torch.empty(ids.shape, device=device)
        counted = torch.zeros(p, n, device=device)  # what earlier resamplings have accounted for
        resampled = torch.zeros(p, device=device)
        uniform, turns = noise.uniform(n, problem.length), noise.uniform(len(ends)).to(device)
        for i, end in enumerate(ends):
            drawn = decode(
                problem.policy,
                problem.prefix,
                uniform[..., ids.shape[-1] : end],
                start=ids,
                past=layers,
                keep_cache=True,
                ledger=problem.ledger,
            )
            ids, log_prob = torch.cat([ids, drawn.ids], -1), torch.cat([log_prob, drawn.log_prob], -1)
            if end == problem.length or bool(ended(problem, ids).all()):
                break
            level = self.level(problem, ids, log_prob, beta)
            weights = normalized(level - counted)
            few = 1 / weights.square().sum(-1) < self.ess_threshold * n
            drawn_again = systematic(weights, turns[:, i : i + 1], n)
            rows = torch.where(few[:, None], drawn_again, torch.arange(n, device=device))
            ids, log_prob = _rows(ids, rows), _rows(log_prob, rows)
            counted = self.account(few, level.gather(1, rows), counted)
            resampled = resampled + few
            assert drawn.layers is not None
            layers = take_rows(drawn.layers, rows, n)
        ids, log_prob = padded(problem, ids, log_prob)
        scored = problem.score_as_text(ids, log_prob)
        weights = normalized(-beta * scored.energies.total - log_prob.sum(-1) - counted)
        chosen = systematic(weights, turns[:, -1:], problem.chains)
        hopeless = ~scored.energies.total.isfinite().any(-1, keepdim=True)
        new = State(select_chains(problem.stopped | hopeless, state.ids, _rows(ids, chosen)))
        metrics = {
            "width": torch.full((p,), float(n), device=device),
            "ess": 1 / weights.square().sum(-1),
            "resampled": resampled,
        }
        shape = problem.stopped.shape
        return new, Info(scored, {k: v[:, None].float().expand(shape) for k, v in metrics.items()})

    def first_step_cost(self, problem: Problem) -> float:
        return self._pass_cost(problem).up_to_the_first(problem)

    def step_cost(self, problem: Problem, state: State, noise: Noise) -> float:
        return self._pass_cost(problem).next(problem)

    def _pass_cost(self, problem: Problem) -> PassCost:
        each = drawing_cost(problem) + scoring_cost(problem, ends_of(problem.length, self.chunk))
        return PassCost(self.particles, 0.0, each)

    @staticmethod
    def account(few: Bool[Tensor, " P"], level: Float[Tensor, "P n"], counted: Float[Tensor, "P n"]) -> Tensor:
        """The level already accounted for: where particles were resampled, the level that decided it."""
        return torch.where(few[:, None], level, counted)

    def level(self, problem: Problem, ids: Tensor, log_prob: Tensor, beta: float) -> Float[Tensor, "P n"]:
        """log γ_t − log π of the texts so far."""
        twist = problem.clock.value(self.twist)
        # without twist an unfinished text that cannot be scored keeps its weight: its continuation may be scorable
        reward = twist * energy_so_far(problem, ids) if twist else 0.0
        return beta * (weighted_log_prob(problem, ids, log_prob) - reward) - log_prob.sum(-1)

    def current(self, problem: Problem, state: State) -> Int[Tensor, "P C T"]:
        return state.ids


def normalized(log_weights: Float[Tensor, "P n"]) -> Float[Tensor, "P n"]:
    """Weights that sum to one, float64; equal ones where none is above zero."""
    log_weights = log_weights.double().nan_to_num(-torch.inf, torch.inf, -torch.inf)
    alive = log_weights.isfinite().any(-1, keepdim=True)
    return torch.where(alive, log_weights, 0.0).softmax(-1)


def systematic(weights: Float[Tensor, "P n"], turn: Float[Tensor, "P 1"], m: int) -> Int[Tensor, "P m"]:
    """m indices, each as often as m times its weight, up to one (Kitagawa 1996): one uniform number decides all."""
    points = (torch.arange(m, device=weights.device) + turn.double()) / m
    edges = weights.cumsum(-1)
    last = (weights > 0).long().mul(torch.arange(weights.shape[-1], device=weights.device)).amax(-1, keepdim=True)
    return torch.searchsorted(edges, points * edges[..., -1:], right=True).minimum(last)


def _rows(values: Tensor, rows: Int[Tensor, "P m"]) -> Tensor:
    return values.gather(1, rows[..., None].expand(-1, -1, values.shape[-1]))
