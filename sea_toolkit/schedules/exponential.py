"""The schedule `exponential`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field


def exponential(
    progress: float, step: int, *, start: Annotated[float, Field(gt=0)], end: Annotated[float, Field(gt=0)]
) -> float:
    """The same factor per unit of progress, from start to end: `start^(1 - progress) · end^progress`.

    Args:
        start: value at the beginning of the run.
        end: value at its end.
    """
    # Written with two powers so that both ends are exact.
    result = start ** (1.0 - progress) * end**progress
    return min(max(result, min(start, end)), max(start, end))
