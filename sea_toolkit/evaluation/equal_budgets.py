"""Which points of a comparison are points of their budget: only those are compared."""

from __future__ import annotations

OVERSPENT = 1.1
"""Times its budget, up to which a point counts as one of it."""

NO_COMPARISON = "no comparison"
"""The verdict on two points of which one is not of its budget."""


def unequal(budget: float, samples: float | None, idle: float) -> str:
    """Why a point is not one of its budget, or "": it spent over a tenth more, or half its prompts took no step."""
    if samples is not None and samples > OVERSPENT * budget:
        return f"spent {samples:.1f} samples, {samples / budget - 1:.0%} more than its budget"
    return "took no step: its answers are the starting texts" if idle >= 0.5 else ""
