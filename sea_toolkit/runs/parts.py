"""The terms of the energy before they are bound."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sea_toolkit.core.meter import Meter
from sea_toolkit.errors import RecipeError
from sea_toolkit.problem.constraints import hinge
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import Bindable, Energy, FunctionEnergy, as_bound, as_energy
from sea_toolkit.problem.terms import Term
from sea_toolkit.registry.blame import Owner, attribute_errors_to
from sea_toolkit.registry.items import Item
from sea_toolkit.registry.records import CORE
from sea_toolkit.runs.recipe import ConstraintSpec, EnergySpec
from sea_toolkit.runs.requirements import TermFacts
from sea_toolkit.runs.resolver import Resolver

REFERENCE = f"{CORE}:reference"


@dataclass(frozen=True)
class Part:
    """One term before it is bound.

    Attributes:
        energy: what is bound.
        item: what it was made from; None for a term given in Python.
        weight: a number or a schedule.
        label: its name in results, unique in the recipe.
        limits: of a constraint: smallest and largest allowed reading.
        is_time_dependent: an option follows a schedule.
        code: of a term given in Python, the top packages whose lines its errors name.
    """

    energy: Energy
    item: Item | None
    weight: Any
    label: str
    limits: tuple[float | None, float | None] | None = None
    is_time_dependent: bool = False
    code: frozenset[str] = frozenset()

    @property
    def owner(self) -> Owner:
        """Whose code it is; of a term given in Python, that of the object."""
        return self.item.owner if self.item else Owner(f"energy {self.label!r}", self.code)

    @property
    def qualified(self) -> str:
        """The plugin, as `distribution:name`; the label of a term given in Python."""
        return self.item.qualified if self.item else self.label

    @property
    def is_reference(self) -> bool:
        """Whether it is −log π itself rather than a limit on it."""
        return self.limits is None and self.item is not None and self.item.qualified == REFERENCE

    @property
    def facts(self) -> TermFacts:
        """What is known before it is bound."""
        return TermFacts.unbound(self.label, self.qualified, self.energy, self.is_reference)

    def bind(self, context: Context) -> Term:
        """Let the energy do the work that is needed once per run.

        Raises:
            SeaError: what the energy raises.
            PluginError: its code failed, or returned something that is not an energy.
        """
        meter = Meter(context.ledger, context.policy.model)
        with attribute_errors_to(self.owner, "failed in bind", user_errors_pass=True), meter.counting():
            bound = as_bound(self.energy.bind(replace(context, meter=meter)), self.owner)
        if self.limits is not None:
            bound = hinge(bound, *self.limits)
        can_announce = not isinstance(self.energy, FunctionEnergy)
        return Term(
            self.label, self.weight, bound, self.qualified, self.owner, meter, self.is_time_dependent, can_announce
        )


def own_parts(energies: Mapping[str, tuple[float, Any]] | None) -> list[Part]:
    """Terms given as Python objects: label → (weight, a function of a response or of texts, or an `Energy`)."""
    parts = []
    for label, (weight, energy) in (energies or {}).items():
        built = energy if isinstance(energy, Bindable) else functools.partial(energy)
        owner = Owner(f"energy {label!r}").with_code_of(energy)
        parts.append(Part(as_energy(built, owner), None, weight, label, code=owner.code))
    return parts


def recipe_part(spec: EnergySpec | ConstraintSpec, resolver: Resolver, place: str) -> Part:
    """A term of the recipe.

    Args:
        spec: its name and numbers.
        resolver: of the recipe.
        place: where it stands, such as `energies[1]`.

    Raises:
        RecipeError: an unknown name, a wrong option, limits that no number satisfies, or a schedule that follows the
            run.
        PluginError: the plugin is broken.
    """
    item, before = resolver.find("energy", spec.name, place), set(resolver.reactive)
    used = len(resolver.items)
    energy = as_energy(resolver.build(item, spec.options, place), item.owner)
    follows = any(other.kind == "schedule" for other in resolver.items[used:])
    weight = resolver.number(spec.weight, f"{place}.weight")
    for reactive in sorted(set(resolver.reactive) - before):
        raise RecipeError(
            f"{reactive}: schedule {resolver.reactive[reactive].name!r} reacts to the run, and an energy may not: "
            "texts are compared by it",
            expected="a number, or a schedule of the run's progress alone",
            hint="linear or cosine here; let an option of the sampler or of the relaxation react",
        )
    label = spec.label or energy.label or item.name
    if not isinstance(spec, ConstraintSpec):
        return Part(energy, item, weight, label, is_time_dependent=follows)
    if spec.min is None and spec.max is None:
        raise RecipeError(f"{place} ({spec.name}) has no limit", expected="min, max or both")
    if spec.min is not None and spec.max is not None and spec.min > spec.max:
        raise RecipeError(f"{place} ({spec.name}): min = {spec.min:g} is above max = {spec.max:g}")
    return Part(energy, item, weight, spec.label or f"{label} limit", (spec.min, spec.max), follows)
