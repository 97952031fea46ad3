"""The terms of the energy before they are bound."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from sea_toolkit.core.meter import Meter
from sea_toolkit.errors import RecipeError
from sea_toolkit.problem.columns import Columns, column_in
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import Bindable, Energy, FunctionEnergy, as_bound, as_energy
from sea_toolkit.problem.limits import Limit, Named
from sea_toolkit.problem.per_prompt import policy_has_no_columns
from sea_toolkit.problem.stated import check_code
from sea_toolkit.problem.terms import Term
from sea_toolkit.problem.text_cache import TextCache
from sea_toolkit.problem.weighing import Weight
from sea_toolkit.registry.allowed import Allowed
from sea_toolkit.registry.blame import Owner, attribute_errors_to
from sea_toolkit.registry.items import Item
from sea_toolkit.registry.records import CORE
from sea_toolkit.runs.limit_specs import limit_of, weight_of_limit, what_is_read
from sea_toolkit.runs.measures import UNMEASURED, Measure, measure_of, own_spec
from sea_toolkit.runs.named_rewards import call, meant, no_reward
from sea_toolkit.runs.option_columns import OptionColumns
from sea_toolkit.runs.recipe import ConstraintSpec, EnergySpec
from sea_toolkit.runs.requirements import TermFacts
from sea_toolkit.runs.resolver import Resolver
from sea_toolkit.runs.term_values import free_label

REFERENCE = f"{CORE}:reference"


@dataclass(frozen=True)
class Part:
    """One term before it is bound.

    Attributes:
        energy: what is bound.
        item: what it was made from; None for a term given in Python.
        weight: what it is multiplied by.
        label: its name in results, unique in the recipe.
        options: as the recipe has them; none of a term given in Python.
        is_labelled: the label is the user's, and not made of a name.
        limit: of a constraint: what is allowed.
        is_time_dependent: an option follows a schedule.
        code: of a term given in Python, the top packages whose lines its errors name.
        no_reward: the error if the energy, asked for as a reward, turns out to be none.
        option_columns: what makes the energy once the prompts are known, where options come from their table.
        measure: how it is measured.
    """

    energy: Energy
    item: Item | None
    weight: Weight
    label: str
    options: Mapping[str, Any] = field(default_factory=dict)
    is_labelled: bool = False
    limit: Limit | None = None
    is_time_dependent: bool = False
    code: frozenset[str] = frozenset()
    no_reward: RecipeError | None = None
    option_columns: OptionColumns | None = None
    measure: Measure = UNMEASURED

    def on(self, prompts: Sequence[str]) -> Part:
        """The same for these prompts: options that come from columns of their table have their values.

        Raises:
            RecipeError, PluginError: see `OptionColumns.energy`.
        """
        if self.option_columns is None:
            return self
        energy = self.option_columns.energy(prompts)
        return replace(self, energy=energy, is_time_dependent=self.option_columns.is_time_dependent)

    def refuse_unless(self, allowed: Allowed) -> None:
        """Refuse functions and servers of a term of the recipe that the user has not allowed; only then read what
        their code says of itself.

        Raises:
            RecipeError: one is not allowed.
            PluginError: what the code says of itself cannot be read.
        """
        if self.item is not None:
            allowed.refuse_others(self.energy.code, self.energy.servers, f"energy {self.label!r}")
        check_code(self.energy, self.owner)

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
        return self.limit is None and self._is_policy

    @property
    def facts(self) -> TermFacts:
        """What is known before it is bound."""
        return TermFacts.unbound(self.label, self.qualified, self.energy, self._is_policy)

    @property
    def columns(self) -> Columns:
        """What it reads of the prompts' table."""
        return Columns.union([self.energy.columns, self.weight.columns, *([self.limit.columns] if self.limit else [])])

    @property
    def named_limit(self) -> Named | None:
        """Its limit, with its name and what it reads; None of a term that is minimized."""
        return None if self.limit is None else Named(self.label, what_is_read(self.qualified, self.options), self.limit)

    @property
    def _is_policy(self) -> bool:
        return self.item is not None and self.item.qualified == REFERENCE

    def bind(self, context: Context) -> Term:
        """Let the energy do the work that is needed once per run.

        Raises:
            SeaError: what the energy raises, or it was asked for as a reward and is none.
            PluginError: its code failed, or returned something that is not an energy.
        """
        meter = Meter(context.ledger, context.policy.model)
        guard = attribute_errors_to(self.owner, "failed in bind", user_errors_pass=True)
        with guard, meter.counting(), same_random_stream():
            bound = as_bound(self.energy.bind(replace(context, meter=meter)), self.owner)
        if self.no_reward is not None and not bound.is_reward:
            raise self.no_reward
        can_announce = not isinstance(self.energy, FunctionEnergy)
        where, limit = repr(self.label), None
        weight = self.weight.for_prompts(context.prompts, where)
        if self.limit is not None:
            limit = self.limit.for_prompts(context.prompts, where, is_reward=bound.is_reward)
        return Term(
            self.label, weight, bound, self.qualified, self.owner, meter, self.is_time_dependent,
            can_announce,
            limit=limit,
            cache=TextCache(context.ledger) if self._is_asked_once(meter) else None,
        )  # fmt: skip

    def _is_asked_once(self, meter: Meter) -> bool:
        """Whether a text's value is kept: always the same, without a gradient, and from no model that is counted."""
        no_gradient = self.energy.differentiable is False
        return no_gradient and not (self.energy.joint or self.is_time_dependent or meter.models)


@contextlib.contextmanager
def same_random_stream() -> Iterator[None]:
    """Put torch's global stream back: a layer that `bind` makes fills itself from it before its weights are read."""
    with torch.random.fork_rng(devices=[]):
        yield


OwnEnergies = Mapping[str, tuple[Any, Any]]
"""Terms that are Python objects: label → (weight, a function of a response or of texts, or an `Energy`)."""


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
    return Part(as_energy(energy, owner), None, resolved, label, is_labelled=True, code=owner.code, measure=measure)


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
    return replace(part, weight=replace(part.weight, maximin=spec.maximin), measure=measure_of(spec, place))


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


def with_labels(parts: Sequence[Part]) -> list[Part]:
    """The same terms, each with a label of its own: the user's stay as they are, equal ones made of names get numbers.

    Raises:
        RecipeError: the user gave one label to two terms.
    """
    taken: dict[str, None] = {}
    for part in parts:
        if part.is_labelled and part.label in taken:
            raise RecipeError(
                f"two terms have the label {part.label!r}", expected="a label of its own for each term that has one"
            )
        taken |= {part.label: None} if part.is_labelled else {}
    labelled = []
    for part in parts:
        label = part.label if part.is_labelled else free_label(part.label, taken)
        taken[label] = None
        labelled.append(replace(part, label=label))
    return labelled


def is_policy_itself(part: Part) -> bool:
    """Whether it is the summed −log π with a fixed weight, so that weight 1 alone asks for the policy's own answers."""
    return part.is_reference and part.options.get("normalize") != "mean" and part.weight.fixed is not None


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
