"""The schedule `cyclical`."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from sea_toolkit.schedules.base import between


def cyclical(
    progress: float,
    step: int,
    *,
    start: float,
    end: float,
    cycles: Annotated[int, Field(gt=0)] = 4,
    decay: Annotated[float, Field(gt=0, le=1)] = 1.0,
) -> float:
    """Half cosine waves from start to end, one after the other: each cycle begins with a jump back.

    As a step size, a cycle explores while it is large and samples while it is small; the chain goes on from where it
    is. A boundary belongs to the cycle that begins there; the run ends with `end`.

    Args:
        start: value at the beginning of the first cycle.
        end: value at the end of every cycle.
        cycles: how many in a run.
        decay: each cycle begins this many times as far from end as the one before it.

    Source: Zhang et al., 2020, arXiv 1902.03932 (cyclical SG-MCMC); decay as in Loshchilov and Hutter, 2017.
    """
    index = min(int(progress * cycles), cycles - 1)
    part = progress * cycles - index
    top = between(end, start, decay**index)
    return between(top, end, 0.5 * (1.0 - math.cos(math.pi * part)))
