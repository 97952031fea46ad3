"""The sampler `chunk-beam`: beam search over chunks drawn from the policy (CBS, Zhou et al. 2024, arXiv 2405.19262)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor

from sea_toolkit.core.ledger import ROUNDING
from sea_toolkit.core.noise import Noise
from sea_toolkit.lm.decoding import decode
from sea_toolkit.lm.kv_cache import take_rows
from sea_toolkit.problem.problem import Problem
from sea_toolkit.samplers.base import Info, Law, Sampler, select_chains
from sea_toolkit.samplers.shared.left_to_right import (
    ended,
    ends_of,
    energy_so_far,
    padded,
    scoring_cost,
    weighted_log_prob,
)


@dataclass(frozen=True)
class State:
    """The beams of the last search `[P, C, T]`, the best first."""

    ids: Tensor


class ChunkBeam(Sampler):
    """W beams, one per chain: each draws K successors of a chunk of tokens from the policy, the W best of the W · K go
    on. A step is one whole search, from the first token to the last; the best text of all searches is kept.

    A search costs W · K answers and the scoring of every prefix. Where the budget does not pay for that, K is smaller.
    A beam that has ended has one successor, itself.

    Args:
        successors: K, at most.
        chunk: tokens drawn before the beams are compared.
        rank: what prefixes are compared by: the "energy", or the "rewards" alone (what the policy thinks of them is in
            the draw). The last comparison is always by energy.
    """

    state_type = State
    law = Law.none()
    first_step = (2.0, 4.0)

    def __init__(
        self,
        *,
        successors: Annotated[int, Field(gt=0)] = 4,
        chunk: Annotated[int, Field(gt=0)] = 8,
        rank: Literal["energy", "rewards"] = "energy",
    ) -> None:
        self.successors, self.chunk, self.rank = successors, chunk, rank

    def init(self, problem: Problem, noise: Noise) -> tuple[State, Info]:
        start = problem.start(noise)
        return State(start.ids), Info(problem.score_as_text(start.ids, start.log_prob))

    def step(self, problem: Problem, state: State, noise: Noise) -> tuple[State, Info]:
        ends, beams = ends_of(problem.length, self.chunk), problem.chains
        k = self._affordable(problem)
        ids = torch.empty(len(problem.prompts), beams, 0, dtype=torch.long, device=problem.policy.device)
        log_prob, layers = torch.empty(ids.shape, device=ids.device), None
        uniform = noise.uniform(beams * k, problem.length)
        for end in ends:
            over = ended(problem, ids)
            first = torch.arange(beams * k, device=ids.device) % k == 0
            again = over.repeat_interleave(k, 1) & ~first  # copies of a beam that has ended
            drawn = decode(
                problem.policy,
                problem.prefix,
                uniform[..., ids.shape[-1] : end],
                start=ids.repeat_interleave(k, 1),
                past=layers,
                keep_cache=True,
                ledger=problem.ledger,
            )
            ids = torch.cat([ids.repeat_interleave(k, 1), drawn.ids], -1)
            log_prob = torch.cat([log_prob.repeat_interleave(k, 1), drawn.log_prob], -1)
            if end == problem.length or bool(ended(problem, ids).all()):
                break
            energy = energy_so_far(problem, ids)
            if self.rank == "energy":
                energy = energy - weighted_log_prob(problem, ids, log_prob)
            best = energy.masked_fill(again, torch.inf).topk(beams, largest=False).indices
            ids, log_prob = _rows(ids, best), _rows(log_prob, best)
            assert drawn.layers is not None
            layers = take_rows(drawn.layers, best.repeat_interleave(k, 1), beams * k)
        ids, log_prob = padded(problem, ids, log_prob)
        scored = problem.score_as_text(ids, log_prob)
        best = scored.energies.total.masked_fill(again, torch.inf).topk(beams, largest=False).indices
        new = State(select_chains(problem.stopped, state.ids, _rows(ids, best)))
        return new, Info(scored, {"width": torch.full(best.shape, float(k), device=best.device)})

    def first_step_cost(self, problem: Problem) -> float:
        """The starting texts and a search with one successor."""
        return problem.chains + problem.run.multipliers.drawn + self._cost_of_one(problem)

    def step_cost(self, problem: Problem, state: State, noise: Noise) -> float:
        return self._affordable(problem) * self._cost_of_one(problem)

    def _cost_of_one(self, problem: Problem) -> float:
        """What a successor of every beam adds to a search, in samples."""
        each = problem.writing_cost + scoring_cost(problem, ends_of(problem.length, self.chunk))
        return problem.chains * each

    def _affordable(self, problem: Problem) -> int:
        """How many successors, at least one, what is left of the budget pays for."""
        left, each = problem.clock.left, self._cost_of_one(problem)
        if left is None or each <= 0.0:
            return self.successors
        return max(1, min(self.successors, int(left / each + ROUNDING)))

    def current(self, problem: Problem, state: State) -> Int[Tensor, "P C T"]:
        return state.ids


def _rows(values: Tensor, rows: Int[Tensor, "P m"]) -> Tensor:
    return values.gather(1, rows[..., None].expand(-1, -1, values.shape[-1]))
