"""How far a run goes: its steps, its budget, and the clock that schedules read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sea_toolkit.core.noise import Noise
from sea_toolkit.errors import RecipeError
from sea_toolkit.problem.problem import Problem
from sea_toolkit.runs.checked_sampler import CheckedSampler
from sea_toolkit.runs.position import Position

ROUNDING = 1e-6
"""Samples: sums of FLOPs that are equal on paper."""


@dataclass
class Course:
    """The way of one run.

    Attributes:
        problem: of the run.
        calls: the sampler.
        position: where the run stands.
        steps: to be taken at most, or None.
        budget: samples to be spent at most, or None.
        stop_after: pause after this many steps, or None.

    Raises:
        RecipeError: the budget does not pay for the start.
    """

    problem: Problem
    calls: CheckedSampler
    position: Position
    steps: int | None
    budget: float | None
    stop_after: int | None

    def __post_init__(self) -> None:
        chains = self.problem.chains
        if self.budget is not None and self.budget < chains:
            start = "a chain that starts" if chains == 1 else f"{chains} chains that each start"
            raise RecipeError(
                f"a budget of {self.budget:g} samples, and {start} with one",
                expected=f"a budget of at least {chains}",
                hint="a larger budget" if chains == 1 else "fewer chains, or a larger budget",
            )
        self.problem.clock.budget = self.budget

    def goes_on(self, state: Any, noise: Noise) -> bool:
        """Whether another step is to be taken."""
        step = self.position.step
        if self.stop_after is not None and step >= self.stop_after:
            return False
        if bool(self.problem.stopped.all()):
            return False
        if self.calls.finished(state):
            return False
        if self.steps is not None and step >= self.steps:
            return False
        # answers that end early are cheaper than a sample: a sampler with its own count decides alone
        if self.budget is None or self.calls.sampler.counts_budget:
            return True
        return self.problem.ledger.samples + (self.next_cost(state, noise) or 0.0) <= self.budget + ROUNDING

    def next_cost(self, state: Any, noise: Noise) -> float | None:
        """What the next step costs in samples, as far as is known."""
        ahead = self.calls.step_cost(state, noise)
        if ahead is not None or self.position.step > 0:
            return self.position.last_cost if ahead is None else ahead
        first = self.calls.first_step_cost()
        return None if first is None else max(0.0, first - self.problem.ledger.samples)

    def set_clock(self) -> None:
        """Tell schedules where the run stands."""
        clock, step = self.problem.clock, self.position.step
        clock.step = step
        if self.steps is not None:
            clock.progress = step / max(1, self.steps - 1)
        elif self.budget is not None:
            clock.progress = min(1.0, self.problem.ledger.samples / self.budget)
