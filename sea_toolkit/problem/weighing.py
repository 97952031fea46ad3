"""What each term counts: the recipe's weight, the prompt's own, the term's scale, and when it is active."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sea_toolkit.core.clock import Clock
from sea_toolkit.errors import RecipeError, shortened
from sea_toolkit.lm.decoding import decode
from sea_toolkit.problem.columns import Columns, columns_of
from sea_toolkit.registry.options import Number, ScheduleLike
from sea_toolkit.schedules.base import is_schedule

if TYPE_CHECKING:
    from sea_toolkit.core.noise import Noise
    from sea_toolkit.problem.problem import Problem
    from sea_toolkit.problem.terms import Term

FIRST_SAMPLES = 4
"""Base samples per prompt that are drawn where a weight is asked for before any text has been scored."""


@dataclass(frozen=True)
class Weight:
    """What one unit of a term counts, in nats.

    Attributes:
        number: a number or a schedule, for all prompts.
        column: of the prompts' table, whose cells are multiplied by it; None where there is none.
        cells: the cells of that column, one per prompt, as soon as the prompts are known.
        active: the part of the run, from and to in progress, outside of which the term counts nothing.
        scale: what the term is divided by; None if it is measured on the run's own first samples.
    """

    number: Number = 1.0
    column: str | None = None
    cells: tuple[float, ...] | None = None
    active: tuple[float, float] = (0.0, 1.0)
    scale: float | None = 1.0

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
        on = begin <= clock.progress < end or (end >= 1.0 <= clock.progress)
        return clock.value(self.number) if on else 0.0

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
        self.columns.refuse_missing(prompts, f"the weight of {where}")
        cells = (_number(prompt, i, self.column, where) for i, prompt in enumerate(prompts, 1))
        return replace(self, cells=tuple(cells))


def _number(prompt: str, i: int, column: str, where: str) -> float:
    cell = columns_of(prompt)[column]
    try:
        number = math.nan if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError):
        number = math.nan
    if math.isfinite(number):
        return number
    what = "blank" if cell is None or not str(cell).strip() else shortened(repr(cell), 40)
    raise RecipeError(
        f"the weight of {where} is in column {column!r}, which is {what} for prompt {i} "
        f"({shortened(repr(str(prompt)), 40)})",
        expected="a finite number in each row; 0 where the term shall not count",
    )


@dataclass
class Weighing:
    """What the weights of a run depend on besides the recipe and the prompts.

    Attributes:
        scales: label → what the term is divided by, where that is measured.
        noise: the run's streams, for base samples that are drawn only to be measured.
    """

    scales: dict[str, float] = field(default_factory=dict)
    noise: Noise | None = field(default=None, repr=False)

    def waits(self, terms: Sequence[Term]) -> bool:
        """Whether something has to be measured before a weight is known."""
        return any(term.weight.scale is None and term.label not in self.scales for term in terms)

    def look(self, terms: Sequence[Term], values: Mapping[str, Tensor]) -> None:
        """Measure what is missing on the first texts that were scored.

        Args:
            terms: of the energy.
            values: label → unweighted values `[P, n]` of these texts.

        Raises:
            RecipeError: a term is the same for all of them, so that it has no scale.
        """
        for term in terms:
            if term.weight.scale is None and term.label not in self.scales:
                self.scales[term.label] = _deviation(term.label, values[term.label])

    def draw(self, problem: Problem) -> None:
        """Draw base samples and measure on them; they are counted, and are no candidates."""
        assert self.noise is not None  # the run gives it before the first step
        uniform = self.noise.uniform(FIRST_SAMPLES, problem.length)
        drawn = decode(problem.policy, problem.prefix, uniform, ledger=problem.ledger)
        stopped = problem.run.stopped  # these texts belong to no chain
        problem.score_as_text(drawn.ids, drawn.log_prob)
        problem.run.stopped = stopped

    def by_prompt(self, term: Term, clock: Clock, prompts: int) -> list[float]:
        """What one unit of the term counts for each prompt at this point of the run."""
        scale = self.scales.get(term.label) if term.weight.scale is None else term.weight.scale
        weight = term.weight.at(clock) / (scale or 1.0)
        return [weight] * prompts if term.weight.cells is None else [weight * cell for cell in term.weight.cells]

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"scales": dict(self.scales)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where `state()` was taken."""
        self.scales = dict(state["scales"])


def _deviation(label: str, values: Tensor) -> float:
    """The standard deviation over all texts."""
    finite = values[values.isfinite()].double()
    deviation = float(finite.std()) if len(finite) > 1 else 0.0
    if not deviation > 1e-12 * max(1.0, float(finite.abs().max()) if len(finite) else 0.0):
        raise RecipeError(
            f"{label} is the same for all {len(finite)} first texts: it has no scale",
            expected="a term that tells answers apart",
            hint="a number as its scale",
        )
    return deviation


def weight_tensor(numbers: Sequence[float], device: torch.device) -> Tensor:
    """Numbers of each prompt as `[P, 1]`."""
    return torch.tensor(numbers, dtype=torch.float32, device=device)[:, None]
