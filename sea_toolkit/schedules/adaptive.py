"""The schedule `adaptive`."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import Field

from sea_toolkit.errors import RecipeError
from sea_toolkit.schedules.reactive import Observation

GAMMA, DELAY, POWER = 0.05, 10.0, 0.75
"""How strongly the errors count, steps that damp the beginning, and how fast old values are forgotten; as published."""


class Adaptive:
    """Tuned until the sampler accepts as often as asked, then frozen: dual averaging on the logarithm.

    For numbers that lower the acceptance as they grow: the step size of mala or discrete-langevin, the strength or
    spread of tilted-exact, the inverse temperature of suffix-mh. While it moves, the chains follow no stated law; once
    it is frozen, they follow the sampler's. The acceptance is the mean over the prompts and chains of the run.

    Args:
        start: value at the beginning.
        target: mean acceptance probability aimed at; 0.574 is mala's best in many dimensions.
        warmup: part of the run, as progress, in which it moves.
        metric: what is to reach the target, as the sampler reports it; for psgld "would_accept".
        span: it stays between start / span and start · span.

    Source: Hoffman and Gelman, 2014, section 3.2 (with the start as the point of attraction); Nesterov, 2009.
    """

    def __init__(
        self,
        *,
        start: Annotated[float, Field(gt=0)],
        target: Annotated[float, Field(gt=0, lt=1)] = 0.574,
        warmup: Annotated[float, Field(gt=0, le=1)] = 0.5,
        metric: str = "acceptance",
        span: Annotated[float, Field(gt=1)] = 1000.0,
    ) -> None:
        self.start, self.target, self.warmup = start, target, warmup
        self.metric, self.reach = metric, math.log(span)
        self.count, self.error, self.now, self.mean = 0, 0.0, 0.0, 0.0

    def at(self, progress: float, step: int) -> float:
        return self.start * math.exp(self.now if progress < self.warmup else self.mean)

    def observe(self, seen: Observation) -> None:
        """Raises: RecipeError if the sampler does not report the metric."""
        if self.metric not in seen.metrics:
            raise RecipeError(
                f"schedule 'adaptive' follows {self.metric!r}, and the sampler reports no such number",
                expected=f"metric = one of {', '.join(sorted(seen.metrics)) or 'none at all'}",
                hint="'acceptance' of mala, suffix-mh, tilted-exact or discrete-langevin; 'would_accept' of psgld",
            )
        acceptance = seen.metrics[self.metric]
        if seen.progress >= self.warmup or math.isnan(acceptance):
            return
        self.count += 1
        self.error += (self.target - acceptance - self.error) / (self.count + DELAY)
        moved = -math.sqrt(self.count) / GAMMA * self.error
        self.now = min(max(moved, -self.reach), self.reach)
        self.mean += self.count**-POWER * (self.now - self.mean)

    def state(self) -> dict[str, Any]:
        """`error`: mean of target − acceptance; `now` and `mean`: the logarithm of value / start, and its average."""
        return {"count": self.count, "error": self.error, "now": self.now, "mean": self.mean}

    def load_state(self, state: dict[str, Any]) -> None:
        self.count, self.error, self.now, self.mean = (state[k] for k in ("count", "error", "now", "mean"))
