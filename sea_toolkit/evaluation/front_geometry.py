"""The geometry of trade-offs: which points no other one dominates, what volume they cover, where they bend.

Points are rows `[n, K]` of K numbers, each of which is better when higher.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


def nondominated(points: Points) -> NDArray[np.bool_]:
    """Which of n points no other one dominates: is as good in everything, and better in something. Equal points do not
    dominate each other."""
    as_good = (points[None] >= points[:, None]).all(-1)
    better = (points[None] > points[:, None]).any(-1)
    return ~np.any(as_good & better, axis=1)


def hypervolume(points: Points) -> float:
    """The volume between the origin and the points: that of the union of the boxes from 0 to each of them.

    It is exact in any number of dimensions, by slices along the last one (Zitzler 1999); a point that is not above the
    origin in everything adds nothing. A slice is a volume of one dimension less, so that n points of K numbers take
    O(n^(K-1)) operations.
    """
    above = points[(points > 0).all(-1)]
    return _volume(above[nondominated(above)])


def _volume(points: Points) -> float:
    if not len(points):
        return 0.0
    if points.shape[1] == 1:
        return float(points.max())
    points = points[np.argsort(-points[:, -1], kind="stable")]
    thickness = -np.diff(points[:, -1], append=0.0)
    if points.shape[1] == 2:
        return float(thickness @ np.maximum.accumulate(points[:, 0]))
    slices = (points[: i + 1, :-1] for i in range(len(points)))
    return sum(float(t) * _volume(of[nondominated(of)]) for t, of in zip(thickness, slices, strict=True) if t > 0)


def knee(points: Points) -> int:
    """The place of the point farthest beyond the plane through the ends of the front (Das 1999, Structural and
    Multidisciplinary Optimization 18).

    Each objective is measured from the worst to the best value on the front. Of two objectives the ends are then (0, 1)
    and (1, 0), and the distance from the line through them grows with the sum; the sum is what is compared with more
    objectives, too. Of equal sums the first point is taken.
    """
    on_front = np.flatnonzero(nondominated(points))
    front = points[on_front]
    low, span = front.min(0), np.ptp(front, axis=0)
    scaled = (front - low) / np.where(span > 0, span, 1.0)
    return int(on_front[scaled.sum(1).argmax()])
