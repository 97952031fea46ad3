"""Where a run stands, and the values that scheduled numbers have there."""

from __future__ import annotations

from dataclasses import dataclass

from sea_toolkit.registry.options import Number
from sea_toolkit.schedules.base import value


@dataclass
class Clock:
    """Where a run stands.

    Attributes:
        step: the step about to be taken, from 0.
        progress: the part of the run's steps or budget that is done, 0 to 1.
        budget: the run's budget in samples per prompt, or None if it is given in steps.
        left: the part of it that the next step may spend, or None.
    """

    step: int = 0
    progress: float = 0.0
    budget: float | None = None
    left: float | None = None

    def value(self, number: Number) -> float:
        """Resolve a number that may be a schedule."""
        return value(number, self.progress, self.step)
