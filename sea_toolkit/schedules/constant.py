"""The schedule `constant`."""

from __future__ import annotations

from sea_toolkit.schedules.base import require_finite


def constant(progress: float, step: int, *, value: float) -> float:
    """The same value all along.

    Args:
        value: the value.

    Raises:
        RecipeError: the value is not finite.
    """
    require_finite("constant", value=value)
    return value
