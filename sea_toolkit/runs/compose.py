"""From a recipe to objects: names become plugins, options are checked, and only then is anything loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.meter import Meter
from sea_toolkit.errors import RecipeError, shortened
from sea_toolkit.lm.policy import Policy
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.problem.columns import Columns
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.initializer import CheckedInitializer, as_initializer
from sea_toolkit.problem.limits import Named, refuse_disjoint
from sea_toolkit.problem.locked_prefix import lock_prefix
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.run_state import RunState
from sea_toolkit.problem.weighing import Weight
from sea_toolkit.registry.allowed import NOTHING, Allowed
from sea_toolkit.registry.blame import attribute_errors_to
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.registry.items import Item
from sea_toolkit.runs.all_terms import every_weight_is_0, refuse_groups, refuse_nothing, with_labels
from sea_toolkit.runs.automatic import choice
from sea_toolkit.runs.length import Length
from sea_toolkit.runs.make_parts import own_part, recipe_part
from sea_toolkit.runs.measures import notes_on_calibration, settled
from sea_toolkit.runs.parts import OwnEnergies, Part
from sea_toolkit.runs.recipe import AUTO, Recipe
from sea_toolkit.runs.requirements import TermFacts, check_energy
from sea_toolkit.runs.resolver import Resolver
from sea_toolkit.runs.sampling import Sampling, resolve_sampling
from sea_toolkit.samplers.base import Sampler
from sea_toolkit.schedules.reactive import ReactiveSchedule
from sea_toolkit.util.conversation import Messages, Prompt, Row, as_prompts


@dataclass
class Composition:
    """A recipe whose every name and option has been checked; no weights are loaded yet.

    Attributes:
        recipe: names and numbers.
        resolver: knows the plugins, and which of them the recipe uses.
        parts: the terms of the energy.
        initializer: where the chains start.
        allowed: what the user lets the energies do.
        sampling: the sampler, or None as long as energies that are not bound yet decide which one it is.
    """

    recipe: Recipe
    resolver: Resolver
    parts: list[Part]
    initializer: CheckedInitializer
    allowed: Allowed
    sampling: Sampling | None = None

    @property
    def hub(self) -> PluginHub:
        """The plugins."""
        return self.resolver.hub

    @property
    def items(self) -> list[Item]:
        """Everything of the plugins that the recipe uses."""
        return self.resolver.items

    @property
    def reactive(self) -> dict[str, ReactiveSchedule]:
        """The schedules that follow the run, by their place in the recipe."""
        return self.resolver.reactive

    @property
    def sampler(self) -> Sampler:
        """The sampler; there is one as soon as the composition is bound."""
        assert self.sampling is not None
        return self.sampling.sampler

    @property
    def joint(self) -> list[str]:
        """Labels of the energies over all chains of a prompt, in which the chains see each other."""
        return [part.label for part in self.parts if part.energy.joint]

    @property
    def columns(self) -> Columns:
        """What the energies and the initializer read of the prompts' table."""
        return Columns.union([*(part.columns for part in self.parts), self.initializer.columns])

    def prompts(self, asked: Sequence[str | Messages | Row]) -> list[Prompt]:
        """The prompts, with no other columns than those that are read. Options that come from columns get their
        values.

        Raises:
            RecipeError: one is no prompt, or lacks a column that is needed; a cell is no value of its option.
        """
        rows = as_prompts(asked)
        self.parts = [part.on(rows) for part in self.parts]
        for part in self.parts:
            if part.option_columns is not None:
                part.refuse_unless(self.allowed)
        columns = self.columns
        prompts, weights = [columns.kept(row) for row in rows], list[Weight]()
        self.initializer.columns.refuse_missing(prompts, "the initializer")
        for part in self.parts:
            part.energy.columns.refuse_missing(prompts, f"energy {part.label!r}")
            weights.append(part.weight.for_prompts(prompts, repr(part.label)))
            if part.limit is not None:
                part.limit.for_prompts(prompts, repr(part.label), is_reward=False)
        refuse_disjoint(self.limits, prompts)
        for i, prompt in enumerate(prompts):
            if all(weight.is_nothing(i) for weight in weights):
                raise every_weight_is_0(f"for prompt {i + 1} ({shortened(repr(str(prompt)), 40)})", self.parts)
        return prompts

    @property
    def limits(self) -> list[Named]:
        """The limits of the recipe."""
        return [part.named_limit for part in self.parts if part.named_limit is not None]

    def notes(self, policy: Policy) -> list[str]:
        """What a person should know of the numbers of the recipe's calibration, in a run with this policy."""
        return notes_on_calibration(self.recipe.calibration, self.parts, policy.name, self.recipe.max_new_tokens)

    def check(self, finder: ModelFinder, tokenizer: Any) -> None:
        """Let every energy refuse a tokenizer that it cannot work with; nothing is loaded yet.

        Raises:
            ModelError: a reward model that cannot be found.
            RecipeError: a compass for other tokens.
        """
        for part in self.parts:
            with attribute_errors_to(part.owner, "failed in check", user_errors_pass=True):
                part.energy.check(finder, tokenizer)
            part.compass.refuse_vocabulary(tokenizer, part.label)

    def bind(
        self,
        policy: Policy,
        finder: ModelFinder,
        prompts: Sequence[str | Messages | Row],
        ledger: Ledger | None = None,
        clock: Clock | None = None,
    ) -> Problem:
        """Load the reward models, run the prompts once and put everything together.

        Args:
            policy: the causal LM.
            finder: of the energies' models.
            prompts: P texts or conversations.
            ledger, clock: of the run; new ones if left out.

        Raises:
            RecipeError: an empty or too long prompt, a sampler that cannot work with the energy.
            ModelError: a reward model that cannot be read, or does not fit the policy; a policy without finite logits.
        """
        ledger, clock, length = ledger or Ledger(), clock or Clock(), self.recipe.max_new_tokens
        asked = self.prompts(prompts)
        rows = policy.encode(asked, length)
        different = list(dict.fromkeys(map(tuple, rows)))  # a prompt that is there under several weights is read once
        prefix = policy.prefix(different)
        policy.require_finite(prefix)
        if len(different) < len(rows):
            places = {row: i for i, row in enumerate(different)}
            prefix = prefix.select(torch.tensor([places[tuple(row)] for row in rows], device=policy.device))
        ledger.prompts = len(asked)
        ledger.forward("policy", sum(map(len, different)), policy.body_parameters)
        context = Context(policy, asked, prefix, length, ledger, clock, finder, Meter(ledger))
        locked, text = None, self.initializer.locked_text
        if text is not None:
            locked, prefix = lock_prefix(text, policy, rows, prefix, length, ledger)
            length -= len(locked)
        terms = [part.bind(context) for part in self.parts]
        told = zip(terms, (part.energy for part in self.parts), strict=True)
        self.settle([TermFacts.bound(t, joint=e.joint, tells_early=e.tells_early) for t, e in told])
        assert self.sampling is not None
        chains = self.sampler.default_chains
        problem = Problem(
            policy=policy,
            prompts=asked,
            prefix=prefix,
            chains=chains,
            length=length,
            terms=terms,
            initializer=self.initializer,
            relaxation=self.sampling.relax(policy, clock),
            top_k=self.sampling.top_k,
            run=RunState.begin(ledger, clock, len(asked), chains, policy.device),
            locked=locked,
        )
        chains = self.chains(problem, self.length.budget)
        return replace(problem, chains=chains, run=RunState.begin(ledger, clock, len(asked), chains, policy.device))

    @property
    def length(self) -> Length:
        """How long a run is: what the recipe sets, else the sampler's default."""
        return Length.of(self.recipe.sampler, self.sampler)

    def chains(self, problem: Problem, budget: float | None) -> int:
        """Chains per prompt: what the recipe sets, else what is usual for the sampler; two of a joint energy at least,
        unless the recipe says otherwise."""
        asked = self.recipe.sampler.chains
        return asked or max(self.sampler.usual_chains(problem, budget), 2 if self.joint else 1)

    def settle(self, terms: Sequence[TermFacts]) -> None:
        """Settle on a sampler as soon as the terms tell which one it is, and check that it can work with them.

        Raises:
            RecipeError: a recipe without a sampler that goes with the energy, or as `resolve_sampling`.
            PluginError: as `resolve_sampling`.
        """
        found = choice(self.recipe, terms)
        if found is None:
            return
        if self.sampling is None:
            self.sampling = resolve_sampling(self.recipe, found.sampler, self.resolver)
        check_energy(found.sampler, self.sampler, terms, self.recipe, self.hub.items("sampler"))


def compose(recipe: Recipe, hub: PluginHub, own: OwnEnergies | None = None, allowed: Allowed = NOTHING) -> Composition:
    """Check a recipe against the plugins there are.

    Args:
        recipe: names and numbers.
        hub: knows the plugins.
        own: terms given as Python objects, beside the recipe's.
        allowed: what the user lets the energies do.

    Raises:
        RecipeError: unknown names, wrong options, no term besides the reference (the rewards are listed), limits that
            exclude each other, or a function or a server that is not allowed.
        PluginError: a plugin that the recipe names is broken.
    """
    resolver = Resolver(hub)
    parts = [recipe_part(spec, resolver, f"energies[{i}]") for i, spec in enumerate(recipe.energies)]
    parts += [recipe_part(spec, resolver, f"constraints[{i}]") for i, spec in enumerate(recipe.constraints)]
    parts += [own_part(label, weight, thing, resolver) for label, (weight, thing) in (own or {}).items()]
    for part in parts:
        part.refuse_unless(allowed)
    parts = [settled(part, recipe.calibration) for part in with_labels(parts)]
    refuse_nothing(parts, hub)
    refuse_groups(parts)
    _check_sampler_table(recipe)
    refuse_disjoint([part.named_limit for part in parts if part.named_limit is not None])
    item = resolver.find("initializer", recipe.initializer.name, "initializer")
    initializer = as_initializer(resolver.build(item, recipe.initializer.options, "initializer"), item.owner)
    composition = Composition(recipe, resolver, parts, initializer, allowed)
    composition.settle([part.facts for part in parts])
    return composition


def _check_sampler_table(recipe: Recipe) -> None:
    spec = recipe.sampler
    if spec.steps is not None and spec.budget is not None:
        raise RecipeError(f"the sampler has steps = {spec.steps} and budget = {spec.budget}", expected="one of them")
    for what, value in (("sampler options", list(spec.options)), ("a relaxation", recipe.relaxation)):
        if value and spec.name == AUTO:
            raise RecipeError(f"the recipe sets {what} without naming a sampler", hint='sampler = { name = "tilted" }')
