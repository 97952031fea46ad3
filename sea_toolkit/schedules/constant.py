"""The schedule `constant`."""

from __future__ import annotations


def constant(progress: float, step: int, *, value: float) -> float:
    """The same value all along.

    Args:
        value: the value.
    """
    return value
