"""The schedule `plateau`."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import Field

from sea_toolkit.errors import RecipeError
from sea_toolkit.schedules.reactive import Observation


class Plateau:
    """Multiplied by a factor whenever the best energy has not improved for so many steps.

    The best energy is that of the best text so far, mean over the prompts of the run. It reacts all along: for search,
    not for samples of a law.

    Raises:
        RecipeError: the factor moves the value away from the limit.

    Args:
        start: value at the beginning.
        factor: what it is multiplied by; below 1 for a step size, above 1 for an inverse temperature.
        patience: steps without improvement that are waited for. A sampler that scores texts only at some steps can
            improve only at those.
        min_delta: nats by which the energy must fall to count as improved.
        limit: the value never passes it; None is no limit.
    """

    def __init__(
        self,
        *,
        start: float,
        factor: Annotated[float, Field(gt=0)] = 0.5,
        patience: Annotated[int, Field(gt=0)] = 10,
        min_delta: Annotated[float, Field(ge=0)] = 0.0,
        limit: float | None = None,
    ) -> None:
        if limit is not None and (limit - start) * (factor - 1) * start < 0:
            raise RecipeError(
                f"schedule 'plateau': limit = {limit:g}, and factor = {factor:g} leads away from it",
                expected="a limit on the way from start by the factor",
                hint="the other side of start, or 1 / factor",
            )
        self.start, self.factor, self.patience, self.min_delta, self.limit = start, factor, patience, min_delta, limit
        self.best, self.waited, self.value = math.inf, 0, start

    def at(self, progress: float, step: int) -> float:
        return self.value

    def observe(self, seen: Observation) -> None:
        if seen.best_energy < self.best - self.min_delta:
            self.best, self.waited = seen.best_energy, 0
            return
        self.waited += 1
        if self.waited < self.patience:
            return
        self.waited, value = 0, self.value * self.factor
        if self.limit is not None and (value - self.limit) * (self.start - self.limit) <= 0:
            value = self.limit
        # without a limit the value stays where floats overflow or underflow
        self.value = value if math.isfinite(value) else self.value

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited, "value": self.value}

    def load_state(self, state: dict[str, Any]) -> None:
        self.best, self.waited, self.value = state["best"], state["waited"], state["value"]
