"""How the limits of a run stand for one prompt: readings of its answer, what each weighed, and what to say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sea_toolkit.util.wording import counted

if TYPE_CHECKING:
    from sea_toolkit.problem.problem import Problem
    from sea_toolkit.runs.archive import Candidate

SHOWN = 5
"""Points of a multiplier's path that a note shows."""


@dataclass(frozen=True)
class LimitReading:
    """One limit, and how the answer stands to it.

    Attributes:
        min, max: what is allowed; None where there is no such end.
        before, after: readings of the first and of the last answer; None where one is not finite.
        kept: whether the last answer is inside.
        unit: the standard deviation of the reading over the run's first texts, in which `Candidate.violations` count.
        multiplier: steps done, and the nats per unit that the limit weighed then; empty for a hinge.
        largest: what the multiplier can grow to; None for a hinge.
    """

    min: float | None
    max: float | None
    before: float | None
    after: float | None
    kept: bool
    unit: float
    multiplier: list[tuple[int, float]] = field(default_factory=list)
    largest: float | None = None

    @property
    def words(self) -> str:
        """Such as `max = -2`."""
        return " and ".join(f"{k} = {v:g}" for k, v in (("min", self.min), ("max", self.max)) if v is not None)

    def outside(self, reading: float | None) -> float:
        """How far outside a reading is, in standard deviations; 0 inside, infinite for one that is not finite."""
        if reading is None:
            return float("inf")
        above = 0.0 if self.max is None else reading - self.max
        below = 0.0 if self.min is None else self.min - reading
        return max(0.0, above, below) / self.unit

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LimitReading:
        """What `to_dict` gave, also after JSON."""
        return cls(**{**data, "multiplier": [(int(step), value) for step, value in data["multiplier"]]})


def limit_readings(problem: Problem, prompt: int, base: Candidate, best: Candidate) -> dict[str, LimitReading]:
    """Label → how a limit stands for one prompt.

    Args:
        problem: of the run.
        prompt: its index.
        base: the first text.
        best: the answer.
    """
    multipliers, readings = problem.run.multipliers, {}
    for label, limit in problem.limits.items():
        ends, scale, moved = limit.ends(prompt), multipliers.scales[label], label in multipliers.values
        path = multipliers.path_of(label, prompt) if moved else []
        before, after = (_finite(limit.sign * text.terms[label]) for text in (base, best))
        kept = best.violations[label] == 0
        largest = scale.largest if moved else None
        readings[label] = LimitReading(
            ends.get("min"), ends.get("max"), before, after, kept, scale.unit, path, largest
        )  # fmt: skip
    return readings


def law_with_limits(problem: Problem, law: str, prompt: int) -> str:
    """What is sampled, and with which multipliers of its limits.

    Args:
        problem: of the run.
        law: in words, without limits.
        prompt: its index.
    """
    multipliers = problem.run.multipliers
    if not multipliers.freezes or not multipliers.values:
        return law
    if multipliers.frozen is None:
        return f"samples no stated law: the multipliers of its limits moved to the end (else {law})"
    now = ", ".join(
        f"{k} {' and '.join(f'{x:.4g}' for x in v[prompt].tolist())}" for k, v in multipliers.values.items()
    )
    return f"{law}; E counts its limits with multipliers that stand still since step {multipliers.frozen}: {now}"


def limit_notes(
    readings: Mapping[str, LimitReading], best: Candidate, candidates: Sequence[Candidate], met: int, draws: bool
) -> list[str]:
    """What to say where no text was met that keeps all limits: how near the nearest is, and what to try.

    Args:
        readings: of the answer.
        best: the answer, which is the nearest.
        candidates: what else was met.
        met: how many texts were.
        draws: the sampler draws answers without looking at the energy.
    """
    if best.violation == 0:
        return []
    texts = "the one text that was met" if met == 1 else f"the nearest of {met} texts that were met"
    lines = []
    for label, reading in readings.items():
        if reading.kept:
            continue
        others = "" if len(readings) == 1 or not any(c.violations[label] == 0 for c in candidates) else (
            "; another text keeps this one, and is farther outside of the others"
        )  # fmt: skip
        after = "not finite" if reading.after is None else f"{reading.after:.4g}"
        lines.append(
            f"outside of the limit {label} ({reading.words}): {texts} reads {after}, {best.violations[label]:.2g} "
            f"standard deviations outside{others}{_weighed(reading, draws)}; {_to_try(reading, draws)}"
        )
    return lines


def _weighed(reading: LimitReading, draws: bool) -> str:
    if draws or not reading.multiplier:
        return ""
    path = reading.multiplier
    if len(path) == 1:
        return f". Its multiplier was {path[0][1]:.3g} nats per unit"
    every = max(1, -(-(len(path) - 1) // (SHOWN - 1)))
    shown = [*path[:-1:every], path[-1]]
    numbers = " → ".join(f"{value:.3g}" for _, value in shown)
    return f". Its multiplier went {numbers} nats per unit in {counted(path[-1][0], 'step')}"


def _to_try(reading: LimitReading, draws: bool) -> str:
    nearest = "" if reading.after is None else f", or a limit of {reading.after:.4g}, which is kept by this text"
    if draws:
        return f"a larger budget, a sampler that follows the energy{nearest}"
    if reading.largest is None:
        return f'a larger weight, method = "multiplier"{nearest}'
    if reading.multiplier and reading.multiplier[-1][1] >= 0.999 * reading.largest:
        return f"it is as large as it gets: another prompt or smaller weights of the other terms{nearest}"
    return f"a larger budget{nearest}"


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None
