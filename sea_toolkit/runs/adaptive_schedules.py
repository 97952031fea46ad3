"""The schedules of a run that react to it: told of each step, saved and restored with the run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from sea_toolkit.core.clock import Clock
from sea_toolkit.runs.archive import Archive
from sea_toolkit.schedules.reactive import Observation, ReactiveSchedule


class AdaptiveSchedules:
    """The reactive schedules of one run, by their place in the recipe; they begin in their first state.

    Args:
        schedules: place (`sampler.step_size`) → schedule.
    """

    def __init__(self, schedules: Mapping[str, ReactiveSchedule]) -> None:
        self.schedules = dict(schedules)
        for schedule in self.schedules.values():
            schedule.reset()

    def tell(
        self, clock: Clock, metrics: Mapping[str, Tensor], stopped: Bool[Tensor, "P C"], archives: Sequence[Archive]
    ) -> None:
        """Tell every schedule of the clock's current step.

        Raises:
            RecipeError: a schedule needs what this sampler does not report.
            PluginError: a schedule failed.
        """
        if not self.schedules or bool(stopped.all()):
            return
        best = [a.best[0].energy for a in archives if a.best and math.isfinite(a.best[0].energy)]
        seen = Observation(
            clock.step,
            clock.progress,
            sum(best) / len(best) if best else math.inf,
            {name: _mean(value, ~stopped) for name, value in metrics.items()},
        )
        for schedule in self.schedules.values():
            schedule.observe(seen)

    def values(self, clock: Clock) -> dict[str, float]:
        """Place → value now, for the trace."""
        return {place: clock.value(schedule) for place, schedule in self.schedules.items()}

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {place: schedule.state() for place, schedule in self.schedules.items()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        for place, schedule in self.schedules.items():
            schedule.load_state(state[place])


def _mean(value: Tensor, moving: Bool[Tensor, "P C"]) -> float:
    """nan where nothing finite is left."""
    return float(value[moving & value.isfinite()].double().mean())
