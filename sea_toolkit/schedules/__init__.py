"""Schedules: how a number changes during a run. `f(progress, step, **options) -> float`, progress in [0, 1].

A schedule is a pure function of where the run is, so that a resumed run sees the same numbers, or a class whose state
is saved with the run (see `reactive`). Nothing here imports torch.
"""

from __future__ import annotations

from sea_toolkit.hookspecs import Register, hookimpl
from sea_toolkit.schedules.base import Schedule, value

__all__ = ["Schedule", "sea_register_schedules", "value"]

_HERE = "sea_toolkit.schedules"


@hookimpl
def sea_register_schedules(register: Register) -> None:
    """Register the schedules in the box."""
    register("constant", target=f"{_HERE}.constant:constant", summary="The same value all along.")
    register("linear", target=f"{_HERE}.linear:linear", summary="A straight line from start to end.")
    register("cosine", target=f"{_HERE}.cosine:cosine", summary="Half a cosine wave from start to end.")
    register(
        "exponential",
        target=f"{_HERE}.exponential:exponential",
        summary="The same factor per unit of progress, from start to end.",
    )
    register(
        "piecewise",
        target=f"{_HERE}.piecewise:piecewise",
        summary="One value per stretch of the run, or straight lines between values.",
    )
    register(
        "cyclical",
        target=f"{_HERE}.cyclical:cyclical",
        summary="Cosine cycles with warm restarts.",
    )
    register(
        "plateau",
        target=f"{_HERE}.plateau:Plateau",
        summary="Multiplied by a factor when the best energy stops improving.",
    )
    register(
        "adaptive",
        target=f"{_HERE}.adaptive:Adaptive",
        summary="Tuned to a wanted acceptance, frozen after a warm-up.",
    )
