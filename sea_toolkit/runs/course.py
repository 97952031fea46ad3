"""How far a run goes: its steps, its budget, and the clock that schedules read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sea_toolkit.core.ledger import ROUNDING
from sea_toolkit.core.noise import Noise
from sea_toolkit.errors import RecipeError
from sea_toolkit.problem.problem import Problem
from sea_toolkit.runs.checked_sampler import CheckedSampler
from sea_toolkit.runs.position import Position


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
        expected: what the sampler expects its next step to cost, or None.

    Raises:
        RecipeError: the budget does not pay for the start.
    """

    problem: Problem
    calls: CheckedSampler
    position: Position
    steps: int | None
    budget: float | None
    stop_after: int | None
    expected: float | None = field(default=None, init=False)

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
        if self.steps is not None and step >= self.steps:
            return False
        self.problem.clock.left = self.left
        if self.calls.finished(state):
            return False
        if self.left is None:
            return True
        self.expected = self.calls.step_cost(state, noise)
        if self.calls.sampler.counts_budget:
            return True
        return (self._cost(self.expected) or 0.0) + self._last_look <= self.left + ROUNDING

    @property
    def left(self) -> float | None:
        """Samples that may still be spent.

        Of a sampler with a law, start and steps count what they were expected to cost: what texts really cost would let
        the number of steps, and the last step, depend on the texts that the chains have met.
        """
        if self.budget is None:
            return None
        by_plan = self.calls.sampler.law.kind != "none"
        return self.budget - (self.position.planned if by_plan else self.problem.ledger.samples)

    def next_cost(self, state: Any, noise: Noise) -> float | None:
        """What the next step costs in samples, as far as is known."""
        return self._cost(self.calls.step_cost(state, noise))

    def _cost(self, ahead: float | None) -> float | None:
        """The same, from what the sampler expects of it."""
        if ahead is not None or self.position.step > 0:
            return self.position.last_cost if ahead is None else ahead
        first = self.calls.first_step_cost()
        return None if first is None else max(0.0, first - self.problem.ledger.samples)

    @property
    def _last_look(self) -> float:
        """What it costs to score the texts of the last step, where a sampler looks at them only now and then."""
        looks = self.position.step == 0 or self.position.scored_last_step
        return 0.0 if looks else self.problem.chains * self.problem.samples_of(1.0, 1.0)

    def set_clock(self) -> None:
        """Tell schedules where the run stands."""
        clock, step = self.problem.clock, self.position.step
        clock.step = step
        if self.steps is not None:
            clock.progress = step / max(1, self.steps - 1)
        elif self.budget is not None:
            clock.progress = min(1.0, self.problem.ledger.samples / self.budget)
