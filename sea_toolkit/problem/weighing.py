"""What each term counts: the recipe's weight, the prompt's own, the term's scale, and when it is active."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Int
from torch import Tensor

from sea_toolkit.core.clock import Clock
from sea_toolkit.lm.decoding import decode
from sea_toolkit.problem.base_scale import BaseScale, base_scale, no_scale
from sea_toolkit.problem.columns import Columns, number_in
from sea_toolkit.problem.maximin import SAMPLES, shares_of
from sea_toolkit.registry.options import Number, ScheduleLike
from sea_toolkit.schedules.base import is_schedule

if TYPE_CHECKING:
    from sea_toolkit.core.noise import Noise
    from sea_toolkit.problem.problem import Problem
    from sea_toolkit.problem.terms import Term

FREEDOM = 12
"""Degrees of freedom that a scale needs: four answers to each of four prompts, or thirteen to one."""
FEWEST, MOST_OF_BUDGET = 4, 0.25
"""Answers per prompt that it is measured on at least, and the part of a budget that goes into drawing more of them."""


@dataclass(frozen=True)
class Weight:
    """What one unit of a term counts, in nats.

    Attributes:
        number: a number or a schedule, for all prompts.
        column: of the prompts' table, whose cells are multiplied by it; None where there is none.
        cells: the cells of that column, one per prompt, as soon as the prompts are known.
        active: the part of the run, from and to in progress, outside of which the term counts nothing.
        scale: what the term is divided by; None if it is measured on the run's own first samples.
        maximin: the group of terms among which the weight is spread so that the worst comes first; None: it is not.
    """

    number: Number = 1.0
    column: str | None = None
    cells: tuple[float, ...] | None = None
    active: tuple[float, float] = (0.0, 1.0)
    scale: float | None = 1.0
    maximin: str | None = None

    @property
    def columns(self) -> Columns:
        """What it reads of the prompts' table."""
        return Columns() if self.column is None else Columns(needed=(self.column,))

    @property
    def fixed(self) -> float | None:
        """The number itself, where it is one, the same for all prompts."""
        return None if self.column is not None or isinstance(self.number, ScheduleLike) else self.number

    @property
    def is_constant(self) -> bool:
        """Whether it is the same in the whole run."""
        return not is_schedule(self.number) and self.active == (0.0, 1.0)

    def at(self, clock: Clock) -> float:
        """The weight of all prompts at this point of the run, before the column and the scale; 0 where the term is not
        active. The end of a part belongs to it only where that is the end of the run."""
        begin, end = self.active
        if self.active == (0.0, 1.0):  # the same in each step, unless it follows a schedule
            return clock.value(self.number)
        on = begin <= clock.progress < end or (end >= 1.0 <= clock.progress)
        return clock.value(self.number) if on else 0.0

    def is_nothing(self, prompt: int) -> bool:
        """Whether it is 0 for one of the prompts in the whole run."""
        number = 0.0 if self.cells is not None and self.cells[prompt] == 0 else self.number
        return not isinstance(number, ScheduleLike) and number == 0

    def for_prompts(self, prompts: Sequence[str], where: str) -> Weight:
        """The weight with the cells of its column.

        Args:
            prompts: of the run.
            where: whose weight it is, for messages.

        Raises:
            RecipeError: a prompt has no such column, or a cell that is not a finite number.
        """
        if self.column is None:
            return self
        cells = (number_in(self.column, prompt, i, f"the weight of {where}") for i, prompt in enumerate(prompts, 1))
        return replace(self, cells=tuple(cells))


@dataclass
class Weighing:
    """What the weights of a run depend on besides the recipe and the prompts.

    Attributes:
        scales: label → what the term is divided by, where that is measured.
        shares: label → what part of its weight a term of a maximin group has for each prompt.
        noise: the run's streams, for base samples that are drawn only to be measured.
        base_ids: first responses that the policy itself has drawn: they are measured when they are scored.
        measures: texts are scored now only to be measured.
    """

    scales: dict[str, BaseScale] = field(default_factory=dict)
    shares: dict[str, list[float]] = field(default_factory=dict)
    noise: Noise | None = field(default=None, repr=False)
    base_ids: Int[Tensor, "P n T"] | None = field(default=None, repr=False)
    measures: bool = field(default=False, repr=False)

    def missing(self, terms: Sequence[Term]) -> list[str]:
        """Terms of which something has to be measured before their weight is known."""
        if self.measures:
            return []
        return [term.label for term in terms if self._lacks_scale(term) or self._lacks_share(term)]

    def _lacks_scale(self, term: Term) -> bool:
        return term.weight.scale is None and term.label not in self.scales

    def _lacks_share(self, term: Term) -> bool:
        return term.weight.maximin is not None and term.label not in self.shares

    def look(self, problem: Problem, ids: Int[Tensor, "P n T"], values: Mapping[str, Tensor]) -> None:
        """Measure what is missing when the first texts are scored, on them if they are the policy's own.

        Args:
            problem: of the run.
            ids: the responses that are scored.
            values: label → their unweighted values `[P, n]`.

        Raises:
            RecipeError: as `measure`.
        """
        if self.missing(problem.terms):
            is_base = self.base_ids is not None and torch.equal(ids, self.base_ids)
            self.measure(problem, values if is_base else None)

    def measure(self, problem: Problem, known: Mapping[str, Tensor] | None = None) -> None:
        """Measure what is missing on base answers; those that are drawn for it are counted, and are no candidates.

        Args:
            problem: of the run.
            known: label → unweighted values `[P, n]` of base answers that there are.

        Raises:
            RecipeError: a term is the same for all answers to a prompt, so that it has no scale.
        """
        missing = [term for term in problem.terms if term.label in self.missing(problem.terms)]
        have = 0 if known is None else known[missing[0].label].shape[1]
        needed = _answers_for_scales(problem, have) if any(map(self._lacks_scale, missing)) else 0
        needed = max(needed, SAMPLES if any(map(self._lacks_share, missing)) else 0)
        drawn = self.draw(problem, needed - have) if needed > have else {}
        values = {term.label: torch.cat([part[term.label] for part in (known, drawn) if part], 1) for term in missing}
        for term in filter(self._lacks_scale, missing):
            found = base_scale(values[term.label])
            if not found.deviation:
                raise no_scale(term.label, found)
            self.scales[term.label] = found
        if any(map(self._lacks_share, missing)):
            self._spread(problem, values)

    def _spread(self, problem: Problem, values: Mapping[str, Tensor]) -> None:
        """Find the shares of maximin groups, with the weights at the end of the run."""
        end, prompts = Clock(progress=1.0), len(problem.prompts)
        weights = {term.label: self.by_prompt(term, end, prompts) for term in problem.terms}
        length, policy = torch.full((prompts, 1), float(problem.length)), torch.zeros(prompts, 1)
        for term in problem.terms:
            if term.policy_energy is not None:
                policy += torch.tensor(weights[term.label])[:, None] * term.policy_energy.per_nat(length)
        self.shares = shares_of(problem.terms, values, weights, policy[:, 0].tolist())

    def draw(self, problem: Problem, samples: int) -> Mapping[str, Tensor]:
        """Unweighted values of base answers `[P, samples]` that are drawn only to be measured."""
        assert self.noise is not None  # the run gives it before the first step
        uniform = self.noise.uniform(samples, problem.length)
        drawn = decode(problem.policy, problem.prefix, uniform, ledger=problem.ledger)
        nobody = torch.zeros(drawn.ids.shape[:2], dtype=torch.bool, device=drawn.ids.device)
        run = replace(problem.run, stopped=nobody, stops={}, left_out={})  # these texts belong to no chain
        self.measures = True
        try:
            return replace(problem, chains=samples, run=run).score_as_text(drawn.ids, drawn.log_prob).energies.terms
        finally:
            self.measures = False

    def by_prompt(self, term: Term, clock: Clock, prompts: int) -> list[float]:
        """What one unit of the term counts for each prompt at this point of the run."""
        weight = term.weight.at(clock) / self.scale(term)
        cells, shares = term.weight.cells or [1.0] * prompts, self.shares.get(term.label, [1.0] * prompts)
        return [weight * cell * share for cell, share in zip(cells, shares, strict=True)]

    def scale(self, term: Term) -> float:
        """What the term is divided by; 1 as long as that has not been measured."""
        if term.weight.scale is not None:
            return term.weight.scale
        known = self.scales.get(term.label)
        return 1.0 if known is None else known.deviation

    @property
    def notes(self) -> list[str]:
        """What was measured, in words."""
        spread = [
            "the weights of " + ", ".join(self.shares) + " are spread for each prompt by what its base answers say"
        ]
        return [*self._of_scales(), *(spread if self.shares else [])]

    def _of_scales(self) -> list[str]:
        if not self.scales:
            return []
        numbers = ", ".join(f"{label} {scale.deviation:.4g}" for label, scale in self.scales.items())
        few = min(self.scales.values(), key=lambda scale: scale.freedom)
        return [
            f"scales measured on {few.texts} base answers of this run, to ± {few.relative_error:.0%}: {numbers}; "
            "sea-toolkit calibrate RECIPE PROMPTS keeps such numbers in the recipe"
        ]

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        scales = {label: list(astuple(scale)) for label, scale in self.scales.items()}
        return {"scales": scales, "shares": {label: list(shares) for label, shares in self.shares.items()}}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where `state()` was taken."""
        self.scales = {label: BaseScale(*numbers) for label, numbers in state["scales"].items()}
        self.shares = {label: list(shares) for label, shares in state["shares"].items()}


def _answers_for_scales(problem: Problem, have: int) -> int:
    """Base answers per prompt that scales are measured on, of which there are so many already."""
    needed, budget = 1 + math.ceil(FREEDOM / len(problem.prompts)), problem.clock.budget
    return needed if budget is None else min(needed, max(FEWEST, have + int(budget * MOST_OF_BUDGET)))


def weight_tensor(numbers: Sequence[float], device: torch.device) -> Tensor:
    """Numbers of each prompt as `[P, 1]`."""
    return torch.tensor(numbers, dtype=torch.float32, device=device)[:, None]
