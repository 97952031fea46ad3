"""What is measured of a recipe: its terms in their own units, and what each asks for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sea_toolkit.errors import RecipeError
from sea_toolkit.registry.allowed import Allowed
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.measures import Measure, measure_of, others_of, own_spec, refuse_joint
from sea_toolkit.runs.parts import OwnEnergies
from sea_toolkit.runs.recipe import EnergySpec, Recipe
from sea_toolkit.runs.session import Session


@dataclass(frozen=True)
class Plan:
    """A recipe that is to be calibrated.

    Attributes:
        composition: of the recipe without scales, targets, maximin groups and limits.
        measures: label → what the term asks for.
        others: stands for the weights of the terms without a target, see `others_of`.
    """

    composition: Composition
    measures: dict[str, Measure]
    others: str

    @property
    def wanted(self) -> dict[str, float]:
        """Label → quantile."""
        return {label: m.want for label, m in self.measures.items() if m.want is not None}


def plan_for(session: Session, recipe: Recipe, own: OwnEnergies, allowed: Allowed) -> Plan:
    """Check the recipe and what its terms ask for; no model is loaded.

    Raises:
        RecipeError: as `compose`; a target without the reference, which holds answers to the policy's, or beside a
            maximin group.
    """
    specs = [*recipe.energies, *(own_spec(label, weight) for label, (weight, _) in own.items())]
    places = [*(f"energies[{i}]" for i in range(len(recipe.energies))), *(f"energy {label!r}" for label in own)]
    measures = [measure_of(spec, place) for spec, place in zip(specs, places, strict=True)]
    plain = recipe.model_copy(
        update={"energies": [_plain(spec) for spec in recipe.energies], "constraints": [], "calibration": None}
    )
    composition = session.compose(plain, {k: (_plain_weight(w), thing) for k, (w, thing) in own.items()}, allowed)
    parts = [replace(part, measure=m) for part, m in zip(composition.parts, measures, strict=True)]
    for part in parts:
        if part.measure.asks:
            refuse_joint(part)
    plan = Plan(composition, {part.label: part.measure for part in parts}, others_of(parts))
    group = next((spec.maximin for spec in specs if spec.maximin is not None), None)
    if plan.wanted and group is not None:
        raise RecipeError(
            f"{next(iter(plan.wanted))!r} has a target, and the maximin group {group!r} has weights that are spread "
            "anew for each prompt",
            expected="one of the two: a target is reached beside weights that are known",
        )
    if plan.wanted and not any(part.is_reference for part in parts):
        raise RecipeError(
            f"{next(iter(plan.wanted))!r} has a target, and the energy has no reference",
            expected="it, with weight 1: a target is reached by answers that stay as near to the policy as they can",
        )
    return plan


def _plain(spec: EnergySpec) -> EnergySpec:
    return spec.model_copy(update={"scale": None, "want": None, "maximin": None})


def _plain_weight(weight: Any) -> Any:
    spec = own_spec("", weight)
    return {"weight": spec.weight, "active": spec.active}
