"""The schedule `linear`."""

from __future__ import annotations

from sea_toolkit.schedules.base import between, require_finite


def linear(progress: float, step: int, *, start: float, end: float) -> float:
    """A straight line from start to end.

    Args:
        start: value at the beginning of the run.
        end: value at its end.

    Raises:
        RecipeError: an option is not finite.
    """
    require_finite("linear", start=start, end=end)
    return between(start, end, progress)
