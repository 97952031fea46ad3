"""The last steps of a budget, made to fit what is left of it: fewer texts, another cut.

A step with a given cut and any fixed choice of chains keeps the law of its chains. So the law stands as long as the
choice follows from the cuts that were drawn and from what steps were expected to cost, never from the texts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sea_toolkit.core.ledger import ROUNDING


class Fitted(NamedTuple):
    """A step: how many texts it proposes, how many tokens they keep, what it costs in samples (inf where none fits)."""

    texts: int
    cut: int
    cost: float


def fitted(cost: Callable[[int, int], float], texts: int, length: int, cut: int, left: float | None) -> Fitted:
    """The step as it is drawn, unless it is more than what is `left`, or leaves less than the smallest step costs.

    Then it is the step with the nearest cut, and of those the one with most texts, that spends all but what a token
    costs, or leaves enough for another.

    Args:
        cost: `cost(texts, cut)` in samples: it grows with the texts and falls with the cut.
        texts: that a whole step proposes.
        length: T; a cut keeps 0 to T − 1 tokens.
        cut: as it is drawn.
        left: samples, or None.
    """
    whole = Fitted(texts, cut, cost(texts, cut))
    smallest = cost(1, length - 1)
    if left is None or left + ROUNDING >= whole.cost + smallest:
        return whole
    best, least = Fitted(1, length - 1, float("inf")), (float("inf"), 0, 0)
    for n in range(1, texts + 1):
        for at in range(length):
            spent = cost(n, at)
            rest = left - spent
            if rest < -ROUNDING:
                continue
            wasted = 0.0 if rest + ROUNDING >= smallest or (at and cost(n, at - 1) > left) else max(0.0, rest)
            order = (wasted, abs(at - cut), texts - n)
            if order < least:
                best, least = Fitted(n, at, spent), order
    return best
