"""From the terms of a recipe, and from Python objects, to the parts of an energy."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sea_toolkit.errors import RecipeError
from sea_toolkit.problem.columns import column_in
from sea_toolkit.problem.energy import Bindable, Energy, FunctionEnergy, as_energy
from sea_toolkit.problem.per_prompt import policy_has_no_columns
from sea_toolkit.problem.weighing import Weight
from sea_toolkit.registry.blame import Owner
from sea_toolkit.registry.items import Item
from sea_toolkit.runs.compasses import CompassChoice
from sea_toolkit.runs.limit_specs import limit_of, weight_of_limit
from sea_toolkit.runs.measures import measure_of, own_spec
from sea_toolkit.runs.named_rewards import call, meant, no_reward
from sea_toolkit.runs.option_columns import OptionColumns
from sea_toolkit.runs.parts import REFERENCE, Part
from sea_toolkit.runs.recipe import ConstraintSpec, EnergySpec
from sea_toolkit.runs.resolver import Resolver


def own_part(label: str, weight: Any, thing: Any, resolver: Resolver) -> Part:
    """A term that is a Python object.

    Args:
        label: its name in results.
        weight: a number, the table of a schedule or a column, or a table that says how it counts (`KEYS`).
        thing: see `OwnEnergies`.
        resolver: of the recipe.

    Raises:
        RecipeError: another table, or a schedule that follows the run.
    """
    energy = thing if isinstance(thing, Bindable) else functools.partial(thing)
    written = thing.form.function if isinstance(thing, FunctionEnergy) else thing
    owner, place = Owner(f"energy {label!r}").with_code_of(written), f"the weight of {label!r}"
    spec = own_spec(label, weight)
    active = _active(spec.active, f"energy {label!r}")
    resolved = replace(_weight(spec.weight, resolver, place), active=active, maximin=spec.maximin)
    _refuse_reactive(resolver, place)
    measure = measure_of(spec, f"energy {label!r}")
    compass = CompassChoice.of(spec.compass, f"energy {label!r}", is_reference=False)
    return Part(
        as_energy(energy, owner), None, resolved, label, is_labelled=True, code=owner.code, measure=measure,
        compass=compass,
    )  # fmt: skip


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
    name, options, as_reward = meant(spec, resolver.hub)
    item = resolver.find("energy", name, place)

    def build(given: Mapping[str, Any]) -> tuple[Energy, bool]:
        return _built(item, given, resolver, place, (name, spec) if as_reward else None)

    columns = OptionColumns(options, item, f"{place} ({item.name})", build)
    if columns.names:
        if item.qualified == REFERENCE:
            raise policy_has_no_columns(columns.where)
        energy: Energy = columns.energy()
        follows = False
    else:
        energy, follows = build(options)
    limit = limit_of(spec, place) if isinstance(spec, ConstraintSpec) else None
    number = weight_of_limit(spec) if isinstance(spec, ConstraintSpec) else spec.weight
    weight = replace(_weight(number, resolver, f"{place}.weight"), active=_active(spec.active, place))
    _refuse_reactive(resolver, place)
    label, refusal = spec.label or energy.label or item.name, no_reward(name, spec) if as_reward else None
    if limit is not None and spec.label is None:
        label = f"{label} limit"
    part = Part(
        energy, item, weight, label, options, spec.label is not None, limit, is_time_dependent=follows,
        no_reward=refusal, option_columns=columns if columns.names else None,
    )  # fmt: skip
    if isinstance(spec, ConstraintSpec):
        return part
    return replace(
        part,
        weight=replace(part.weight, maximin=spec.maximin),
        measure=measure_of(spec, place),
        compass=CompassChoice.of(spec.compass, place, is_reference=part.is_reference),
    )


def _built(
    item: Item,
    options: Mapping[str, Any],
    resolver: Resolver,
    place: str,
    reward: tuple[str, EnergySpec | ConstraintSpec] | None,
) -> tuple[Energy, bool]:
    """An energy of the recipe, and whether an option follows a schedule; `reward`: it is asked for as a reward."""
    used = len(resolver.items)
    try:
        energy = as_energy(resolver.build(item, options, place), item.owner)
    except RecipeError as error:
        if reward is None:
            raise
        name, spec = reward
        hint = "\n".join(filter(None, [error.hint, f"{name!r} is an energy: {call('energy', spec, name)}"]))
        raise RecipeError(error.got, expected=error.expected, hint=hint) from error
    if reward is not None and isinstance(energy, FunctionEnergy):
        raise no_reward(*reward)
    _refuse_reactive(resolver, place)
    return energy, any(other.kind == "schedule" for other in resolver.items[used:])


def _weight(value: Any, resolver: Resolver, place: str) -> Weight:
    """A number, a schedule, or `{ column = "name" }` of the prompts' table."""
    if not isinstance(value, dict) or "column" not in value:
        return Weight(resolver.number(value, place))
    return Weight(column=column_in(value, place))


def _active(part: tuple[float, float], place: str) -> tuple[float, float]:
    begin, end = part
    if not begin < end:
        raise RecipeError(
            f"{place}.active is from {begin:g} to {end:g} of the run", expected="two numbers, the first one smaller"
        )
    return begin, end


def _refuse_reactive(resolver: Resolver, place: str) -> None:
    for reactive in sorted(name for name in resolver.reactive if name.startswith(place)):
        raise RecipeError(
            f"{reactive}: schedule {resolver.reactive[reactive].name!r} reacts to the run, and an energy may not: "
            "texts are compared by it",
            expected="a number, or a schedule of the run's progress alone",
            hint="linear or cosine here; let an option of the sampler or of the relaxation react",
        )
