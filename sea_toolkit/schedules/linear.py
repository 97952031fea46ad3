"""The schedule `linear`."""

from __future__ import annotations

from sea_toolkit.schedules.base import between


def linear(progress: float, step: int, *, start: float, end: float) -> float:
    """A straight line from start to end.

    Args:
        start: value at the beginning of the run.
        end: value at its end.
    """
    return between(start, end, progress)
