"""The schedule `exponential`."""

from __future__ import annotations

from sea_toolkit.errors import RecipeError
from sea_toolkit.schedules.base import require_finite


def exponential(progress: float, step: int, *, start: float, end: float) -> float:
    """The same factor per unit of progress, from start to end: `start^(1 - progress) · end^progress`.

    Args:
        start: value at the beginning of the run, above 0.
        end: value at its end, above 0.

    Raises:
        RecipeError: an option is not finite or not above 0.
    """
    require_finite("exponential", start=start, end=end)
    for name, number in (("start", start), ("end", end)):
        if number <= 0:
            raise RecipeError(
                f"schedule 'exponential': {name} = {number:g}",
                expected="a number above 0, as a factor leads from start to end",
                hint="a small value such as 0.001, or the schedule 'linear', which reaches 0",
            )
    # Written with two powers so that both ends are exact.
    result = start ** (1.0 - progress) * end**progress
    return min(max(result, min(start, end)), max(start, end))
