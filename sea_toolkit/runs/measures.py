"""Weights on a common scale: what a term of the recipe asks for, and the numbers that it gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pydantic

from sea_toolkit.errors import RecipeError, shortened
from sea_toolkit.runs.calibration_table import BASE_STD, CalibratedTerm, CalibrationTable, digest
from sea_toolkit.runs.recipe import EnergySpec

if TYPE_CHECKING:
    from sea_toolkit.runs.parts import Part

CALIBRATE = "sea-toolkit calibrate RECIPE PROMPTS (sea.calibrate in Python)"
KEYS = frozenset({"weight", "scale", "want", "active", "maximin", "compass"})
"""What a term says of how it counts, and of what is known of it."""


@dataclass(frozen=True)
class Measure:
    """How a term is measured.

    Attributes:
        scale: what it is divided by; None where that is its deviation over base answers.
        want: its target, instead of a weight: the quantile of the base answers that the mean of aligned ones is to be.
        term: stands for what the term is: its name and options.
        weighed: stands for how it counts: weight, scale and part of the run.
    """

    scale: float | None = 1.0
    want: float | None = None
    term: str = ""
    weighed: str = ""

    @property
    def asks(self) -> bool:
        """Whether calibration has a number to find."""
        return self.scale is None or self.want is not None


UNMEASURED = Measure()
"""Of a term in its own unit."""


def measure_of(spec: EnergySpec, place: str) -> Measure:
    """What the keys `scale` and `want` of a term say.

    Raises:
        RecipeError: a scale that is no positive number, a quantile outside of 0 to 1, or a target beside a weight or a
            maximin group.
    """
    want, scale = spec.want, spec.scale
    if want is not None and not (_is_number(want) and 0 < want < 1):
        raise RecipeError(
            f"{place}.want is {want!r}",
            expected="a number between 0 and 1: 0.8 asks for answers as good as the one that is better than 80 % of "
            "the policy's own",
        )
    if want is not None and spec.weight != 1.0:
        raise RecipeError(
            f"{place} has a weight and want = {want:g}", expected="one of them: want is turned into a weight"
        )
    if want is not None and spec.maximin is not None:
        raise RecipeError(
            f"{place} has want = {want:g} and maximin = {spec.maximin!r}",
            expected="one of them: a target has a weight of its own, and maximin spreads one among terms",
        )
    if scale is not None and scale != BASE_STD and not (_is_number(scale) and 0 < scale < float("inf")):
        raise RecipeError(f"{place}.scale is {scale!r}", expected=f'a number above 0, or "{BASE_STD}"')
    term, weighed = digest(spec.name, spec.options), digest(spec.weight, scale, spec.active, spec.maximin)
    if scale is None:
        return Measure(1.0 if want is None else None, want, term, weighed)
    return Measure(None if scale == BASE_STD else float(scale), want, term, weighed)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def own_spec(label: str, weight: Any) -> EnergySpec:
    """What stands in place of the weight of a term given in Python, as a term of the recipe: a number, or a table.

    Raises:
        RecipeError: a key that says nothing of how a term counts, or a value that does not fit.
    """
    given = dict(weight) if isinstance(weight, Mapping) and set(weight) <= KEYS else {"weight": weight}
    try:
        return EnergySpec.model_validate({"name": label, **given})
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise RecipeError(
            f"the weight of {label!r}: {first['loc'][0]} is {shortened(repr(first['input']))}",
            expected=first["msg"].lower(),
        ) from error


def settled(part: Part, table: CalibrationTable | None) -> Part:
    """A part with the scale and the weight that the recipe's calibration gives it.

    A scale that is not known stays None: it is measured on the first answers of a run.

    Raises:
        RecipeError: a target whose weight is not known; a term that was calibrated as another one, or for another
            target; a scale of an energy over all chains.
    """
    measure = part.measure
    if not measure.asks:
        return replace(part, weight=replace(part.weight, scale=measure.scale))
    refuse_joint(part)
    known = None if table is None else table.terms.get(part.label)
    if known is not None and known.term != measure.term:
        raise RecipeError(
            f"{part.label!r} has other options than when the recipe was calibrated", hint=f"{CALIBRATE} again"
        )
    if measure.want is None:
        return replace(part, weight=replace(part.weight, scale=None if known is None else known.deviation))
    weight, deviation = _of_target(part.label, measure.want, known)
    scale = deviation if measure.scale is None else measure.scale
    return replace(part, weight=replace(part.weight, number=weight * scale / deviation, scale=scale))


def refuse_joint(part: Part) -> None:
    """Raises: RecipeError if a term that asks for a number is an energy over all chains of a prompt."""
    if part.energy.joint:
        raise RecipeError(
            f"{part.label!r} is of all chains of a prompt, and no answer has a value of its own to be measured",
            expected="a weight, and a number as its scale if any",
        )


def _of_target(label: str, want: float, known: CalibratedTerm | None) -> tuple[float, float]:
    """The weight for one deviation, and the deviation."""
    if known is None or known.weight is None:
        raise RecipeError(
            f"{label!r} has want = {want:g}, and no weight has been found for it",
            expected="a calibrated recipe: a run has too few answers of its own to find it",
            hint=CALIBRATE,
        )
    if known.want != want:
        raise RecipeError(
            f"{label!r} has want = {want:g}, and the recipe was calibrated for {known.want:g}",
            hint=f"{CALIBRATE} again",
        )
    return known.weight, known.deviation


def refuse_measured(parts: Sequence[Part], what: str) -> None:
    """Refuse scales and maximin weights that each run would measure anew.

    Args:
        parts: of the energy.
        what: needs one energy in several runs.

    Raises:
        RecipeError: there is one.
    """
    if part := next((part for part in parts if part.weight.scale is None), None):
        raise RecipeError(
            f'{part.label!r} has scale = "{BASE_STD}", which each run measures anew',
            expected=f"a calibrated recipe, or a number as its scale: {what} needs one energy for all runs",
            hint=CALIBRATE,
        )
    if part := next((part for part in parts if part.weight.maximin is not None), None):
        raise RecipeError(
            f"the maximin weights of {part.weight.maximin!r} are measured anew by each run",
            expected=f"weights of the recipe: {what} needs one energy for all runs",
            hint="the energy `worst-of` puts the worst of several rewards first, answer by answer",
        )


def others_of(parts: Sequence[Part]) -> str:
    """Stands for the weights beside which those of targets are found."""
    beside = [p for p in parts if p.measure.want is None and p.limit is None]
    return digest(sorted((p.label, p.measure.term, p.measure.weighed) for p in beside))


def notes_on_calibration(
    table: CalibrationTable | None, parts: Sequence[Part], policy: str, max_new_tokens: int
) -> list[str]:
    """What differs from what the numbers were measured on."""
    used = [] if table is None else [p for p in parts if p.measure.asks and p.label in table.terms]
    if table is None or not used:
        return []
    labels = ", ".join(p.label for p in used)
    notes = []
    if table.policy != policy:
        notes.append(f"the numbers of {labels} were calibrated on answers of {table.policy}, and this is {policy}")
    if table.max_new_tokens != max_new_tokens:
        notes.append(
            f"the numbers of {labels} were calibrated on answers of at most {table.max_new_tokens} tokens, and these "
            f"have at most {max_new_tokens}"
        )
    if any(p.measure.want is not None for p in used) and table.others != others_of(parts):
        notes.append("the weights of other terms have changed since targets were calibrated, and may miss them now")
    return notes
