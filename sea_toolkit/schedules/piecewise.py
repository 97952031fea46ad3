"""The schedule `piecewise`."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import Annotated

from pydantic import Field

from sea_toolkit.errors import RecipeError
from sea_toolkit.schedules.base import between


def piecewise(
    progress: float,
    step: int,
    *,
    boundaries: list[Annotated[float, Field(gt=0, lt=1)]],
    values: list[float],
    interpolate: bool = False,
) -> float:
    """One value per stretch of the run, or straight lines between values.

    `boundaries = [0.25, 0.5, 0.75], values = [0.1, 0.05, 0.01, 0.001]` gives one value per quarter; a
    boundary belongs to the stretch that begins there.

    Args:
        boundaries: where one stretch ends and the next begins, as progress: rising, strictly between 0 and 1.
        values: one per stretch, that is one more than boundaries; with interpolate, the value at progress 0,
            at each boundary and at progress 1, that is two more than boundaries.
        interpolate: straight lines between the values instead of steps.

    Raises:
        RecipeError: the boundaries are not rising, or there are too few or too many values.
    """
    if any(a >= b for a, b in pairwise(boundaries)):
        raise RecipeError(
            f"schedule 'piecewise': boundaries = {boundaries}",
            expected="rising numbers (parts of the run, not steps)",
            hint="for example boundaries = [0.25, 0.5, 0.75]",
        )
    needed = len(boundaries) + (2 if interpolate else 1)
    if len(values) != needed:
        raise RecipeError(
            f"schedule 'piecewise': {len(values)} values for {len(boundaries)} boundaries"
            + (" with interpolate" if interpolate else ""),
            expected=f"{needed} values"
            + (" (at 0, at each boundary and at 1)" if interpolate else " (one per stretch)"),
            hint="add or remove values or boundaries",
        )
    stretch = bisect_right(boundaries, progress)
    if not interpolate:
        return values[stretch]
    knots = [0.0, *boundaries, 1.0]
    left, right = knots[stretch], knots[stretch + 1]
    return between(values[stretch], values[stretch + 1], (progress - left) / (right - left))
