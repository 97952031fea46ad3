"""The schedule `cosine`."""

from __future__ import annotations

import math

from sea_toolkit.schedules.base import between


def cosine(progress: float, step: int, *, start: float, end: float) -> float:
    """Half a cosine wave from start to end: flat at both ends, steepest in the middle.

    Args:
        start: value at the beginning of the run.
        end: value at its end.

    Source: Loshchilov and Hutter, 2017, arXiv 1608.03983, without restarts.
    """
    return between(start, end, 0.5 * (1.0 - math.cos(math.pi * progress)))
