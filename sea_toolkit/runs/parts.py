"""The terms of the energy before they are bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sea_toolkit.core.meter import Meter
from sea_toolkit.core.torch_state import same_random_stream
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.policy import Policy
from sea_toolkit.problem.columns import Columns
from sea_toolkit.problem.compass import Compass
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy, Energy, FunctionEnergy, as_bound
from sea_toolkit.problem.functions import name_of
from sea_toolkit.problem.limits import Limit, Named
from sea_toolkit.problem.reward_identity import reward_identity
from sea_toolkit.problem.stated import check_code
from sea_toolkit.problem.terms import Term
from sea_toolkit.problem.text_cache import TextCache
from sea_toolkit.problem.weighing import Weight
from sea_toolkit.registry.allowed import Allowed
from sea_toolkit.registry.blame import Owner, attribute_errors_to
from sea_toolkit.registry.declared import class_path
from sea_toolkit.registry.items import Item
from sea_toolkit.registry.records import CORE
from sea_toolkit.runs.compasses import USUAL, CompassChoice
from sea_toolkit.runs.limit_specs import what_is_read
from sea_toolkit.runs.measures import UNMEASURED, Measure
from sea_toolkit.runs.option_columns import OptionColumns
from sea_toolkit.runs.requirements import TermFacts, moves

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
        compass: what the recipe says of its compass.
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
    compass: CompassChoice = USUAL

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
        has_compass, moving = self.compass.file is not None, moves(self.weight, self.limit, self.is_time_dependent)
        return TermFacts.unbound(self.label, self.qualified, self.energy, self._is_policy, has_compass, moving)

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
            compass=self._compass(bound, meter, context),
        )  # fmt: skip

    def _compass(self, bound: BoundEnergy, meter: Meter, context: Context) -> Compass | None:
        """What is known of it before the run; nothing of a limit, whose slope is that of its ends."""
        if self.limit is not None or (self.compass.file is None and bound.compass is None):
            return None
        policy, length = context.policy, context.length
        return self.compass.compass(bound, self.identity(bound, meter, policy), self.label, policy, length)

    def identity(self, bound: BoundEnergy, meter: Meter, policy: Policy) -> str:
        """Stands for what the energy is: see `reward_identity`."""
        own, code = self.energy.fingerprint, class_path(type(self.energy))
        if isinstance(self.energy, FunctionEnergy):
            code = name_of(self.energy.form.function)
        own = own if bound.fingerprint is None else bound.fingerprint
        name = self.qualified if self.item else f"python: {code}"
        return reward_identity(name, self.options, own, meter, policy.model)

    def _is_asked_once(self, meter: Meter) -> bool:
        """Whether a text's value is kept: always the same, without a gradient, and from no model that is counted."""
        no_gradient = self.energy.differentiable is False
        return no_gradient and not (self.energy.joint or self.is_time_dependent or meter.models)


OwnEnergies = Mapping[str, tuple[Any, Any]]
"""Terms that are Python objects: label → (weight, a function of a response or of texts, or an `Energy`)."""
