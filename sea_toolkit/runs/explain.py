"""Why one text won over another: what each weighted term says, and which weight would have turned it.

Plain numbers of candidates, lower is better; nothing here runs a model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from sea_toolkit.runs.archive import Candidate
from sea_toolkit.util.wording import rounded_up


def differences(weights: Mapping[str, float], one: Candidate, other: Candidate) -> dict[str, float]:
    """Weighted terms of `other` minus those of `one` in nats, the largest first, without those that are equal."""
    nats = {k: weights[k] * (other.terms[k] - one.terms[k]) for k in one.terms if weights[k]}
    return dict(sorted(((k, v) for k, v in nats.items() if v), key=lambda item: -abs(item[1])))


def weight_that_keeps(
    candidates: Sequence[Candidate], weights: Mapping[str, float], label: str, kept: Callable[[float], bool]
) -> float | None:
    """The weight of a term, no smaller than the present one, with which the best text would be one that is `kept`.

    A text c has the energy `E_c + d · u_c` if the weight grows by d, with u the term in the weight's direction. So a
    text b wins over all that are not kept from `d = max_o (E_b − E_o) / (u_o − u_b)` on; the least of these is taken.

    Args:
        candidates: what was met.
        weights: label → weight now.
        label: of the term.
        kept: whether a value of the term is good enough: all those beyond some value in the weight's direction.

    Returns:
        The weight, rounded up to two digits; None if no text is kept.
    """
    sign = math.copysign(1.0, weights[label])
    pairs = [(c.energy, sign * c.terms[label], kept(c.terms[label])) for c in candidates if math.isfinite(c.energy)]
    others = [(energy, u) for energy, u, good in pairs if not good]
    needed = [max((0.0, *((energy - e) / (v - u) for e, v in others))) for energy, u, good in pairs if good]
    return None if not needed else sign * rounded_up(abs(weights[label]) + min(needed))


def name_of(label: str) -> str:
    """A term as a person reads it."""
    return "−log π" if label == "reference" else label


def reason(weights: Mapping[str, float], chosen: Candidate, other: Candidate) -> str:
    """Why `other` was not taken: the limits that it breaks more, or the terms against it, and those for it, in nats."""
    if other.violation > chosen.violation:
        outside = [f"{label} by {v:.2g}" for label, v in other.violations.items() if v > chosen.violations[label]]
        return f"farther outside of {', '.join(outside)} standard deviations"
    nats = differences(weights, chosen, other)
    against = [f"{name_of(k)} {v:+.1f}" for k, v in nats.items() if v > 0][:2]
    in_favor = [f"{name_of(k)} {v:+.1f}" for k, v in nats.items() if v < 0][:2]
    what = ", ".join(against) or "equal"
    return f"{other.energy - chosen.energy:+.1f}: {what}" + (f"; though {', '.join(in_favor)}" if in_favor else "")
