"""What the samplers that write from left to right share: the energy of a text so far, and how much a budget affords."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sea_toolkit.core.response import SoftResponse, is_any
from sea_toolkit.lm.kv_cache import KeysValues
from sea_toolkit.problem.problem import Problem


@torch.no_grad()
def energy_so_far(problem: Problem, ids: Int[Tensor, "P n t"]) -> Float[Tensor, "P n"]:
    """The weighted energy, without −log π, of unfinished texts scored as text; +inf where it is not finite.

    A limit on −log π counts in whole answers alone: to read it here would cost a pass of the policy for each candidate.
    """
    texts, response, _ = problem.as_text(ids)
    total = torch.zeros(ids.shape[:2], device=ids.device)
    for term in (term for term in problem.rewards if term.policy_energy is None):
        total = total + problem.weighted(term, term.of_text(response, problem.prompts, texts))
    return total.nan_to_num(torch.inf, torch.inf, torch.inf)


def value_so_far(problem: Problem, ids: Int[Tensor, "P n t"]) -> Float[Tensor, "P n"]:
    """The rewards' energy that whole answers are expected to have, given how they begin: the energy of that part as
    text, times √ of how large a part it is; all of it for texts that have ended.

    Regressed on the energy of a quarter, a half and three quarters of an answer, the energy of the whole had slopes of
    0.44, 0.75 and 0.92 with a linear reward, and of 0.36, 0.66 and 0.86 with one that is not.
    """
    locked = len(problem.locked or ())
    part = (ids.shape[-1] + locked) / (problem.length + locked)
    return energy_so_far(problem, ids) * torch.where(ended(problem, ids), 1.0, part**0.5)


def weighted_log_prob(
    problem: Problem, ids: Int[Tensor, "P n t"], log_prob: Float[Tensor, "P n t"]
) -> Float[Tensor, "P n"]:
    """log π of the tokens so far, as it is weighted in the energy."""
    length = SoftResponse.from_ids(ids, problem.policy.eos_ids).expected_length()
    return problem.policy_weight(length) * log_prob.sum(-1)


def ended(problem: Problem, ids: Int[Tensor, "P n t"]) -> Bool[Tensor, "P n"]:
    """Which texts have ended."""
    return is_any(ids, problem.policy.eos_ids).any(-1)


def padded(problem: Problem, ids: Int[Tensor, "P n t"], log_prob: Float[Tensor, "P n t"]) -> tuple[Tensor, Tensor]:
    """Finished texts, padded to the run's length."""
    room = (0, problem.length - ids.shape[-1])
    fill = torch.nn.functional.pad
    return fill(ids, room, value=problem.policy.eos_ids[0]), fill(log_prob, room)


def take_rows(layers: KeysValues, rows: Int[Tensor, "P m"], n: int) -> KeysValues:
    """Keys and values of the given rows (of n per prompt) of each prompt."""
    flat = (rows + n * torch.arange(len(rows), device=rows.device)[:, None]).flatten()
    return [(k[flat], v[flat]) for k, v in layers]


def ends_of(length: int, chunk: int) -> list[int]:
    """How long a text is after each chunk."""
    return [min(length, begin + chunk) for begin in range(0, length, chunk)]


def drawing_cost(problem: Problem) -> float:
    """Drawing one answer of the run's length, in samples, and reading some of them again."""
    return problem.answer_cost - problem.samples_of(0.0, 1.0)


def scoring_cost(problem: Problem, lengths: Iterable[int]) -> float:
    """Scoring texts of these lengths by all reward models, in samples."""
    tokens = sum(n + len(problem.locked or ()) for n in lengths)
    return problem.scoring_flops * tokens / problem.sample_flops


ROUNDING = 1e-6
"""Of a candidate: sums of FLOPs that are equal on paper."""


@dataclass(frozen=True)
class PassCost:
    """What one pass from the first token to the last costs, in samples.

    Attributes:
        most: how many candidates (or particles, or successors) are wanted.
        fixed: what every pass costs.
        each: what each of them adds.
    """

    most: int
    fixed: float
    each: float

    def affordable(self, problem: Problem) -> int:
        """How many, at least one and at most `most`, what is left of the budget pays for."""
        left = problem.clock.left
        if left is None or self.each <= 0.0:
            return self.most
        return max(1, min(self.most, int((left - self.fixed) / self.each + ROUNDING)))

    def next(self, problem: Problem) -> float:
        """What the next pass costs."""
        return self.fixed + self.affordable(problem) * self.each

    def up_to_the_first(self, problem: Problem) -> float:
        """The starting texts and one pass, at least."""
        return problem.chains + problem.run.multipliers.drawn + self.fixed + self.each
