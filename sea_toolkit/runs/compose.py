"""From a recipe to objects: names become plugins, options are checked, and only then is anything loaded."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.meter import Meter
from sea_toolkit.core.noise import Noise
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.embedding_space import EmbeddingSpace
from sea_toolkit.lm.policy import Policy
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.problem.constraints import hinge
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import Bindable, Energy, as_bound, as_energy
from sea_toolkit.problem.locked_prefix import lock
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.run_state import RunState
from sea_toolkit.problem.scores import unique_labels
from sea_toolkit.problem.terms import Term
from sea_toolkit.registry.allowed_code import refuse_unless_allowed
from sea_toolkit.registry.records import blame
from sea_toolkit.relaxations.base import Relaxation, takes_points
from sea_toolkit.runs.recipe import ConstraintSpec, EnergySpec, Recipe
from sea_toolkit.runs.requirements import TermFacts, automatic, check_energy, check_relaxation
from sea_toolkit.samplers.base import Sampler, sampler_class
from sea_toolkit.schedules.base import Schedule
from sea_toolkit.schedules.reactive import ReactiveSchedule
from sea_toolkit.util.conversation import Messages, as_prompts
from sea_toolkit.util.progress import Progress, silent

if TYPE_CHECKING:
    from sea_toolkit.registry.hub import PluginHub
    from sea_toolkit.registry.records import Item


@dataclass(frozen=True)
class Part:
    """One term before it is bound: the energy, from which item, and how it counts; see `Term` for the rest."""

    energy: Energy
    item: Item | None
    weight: Any
    label: str
    limits: tuple[float | None, float | None] | None = None
    is_time_dependent: bool = False

    @property
    def owner(self) -> str:
        """For messages."""
        return self.item.owner if self.item else f"energy {self.label!r}"

    @property
    def qualified(self) -> str | None:
        """The plugin, as `distribution:name`; None for a term given in Python."""
        return None if self.item is None else self.item.qualified

    @property
    def is_reference(self) -> bool:
        """It is −log π, and not a limit on it."""
        return self.limits is None and self.qualified == "sea-toolkit:reference"


def own_parts(energies: Mapping[str, tuple[float, Any]] | None) -> list[Part]:
    """Terms given as Python objects: label → (weight, a function of a response or of texts, or an `Energy`)."""
    parts = []
    for label, (weight, given) in (energies or {}).items():
        built = given if isinstance(given, Bindable) else functools.partial(given)
        parts.append(Part(as_energy(built, f"energy {label!r}"), None, weight, label))
    return parts


@dataclass
class Composition:
    """A recipe whose every name and option has been checked; no weights are loaded yet.

    `reactive`: the schedules that follow the run, by their place in the recipe. `settled`: the sampler, or None as long
    as energies that are not bound yet decide which one it is. `trust_remote_code`: whether Python that comes with a
    model may run; the user's word, never the recipe's.
    """

    recipe: Recipe
    hub: PluginHub
    parts: list[Part]
    initializer: Any
    items: list[Item]
    settled: Sampler | None = None
    relaxation: Any = None
    top_k: int | None = None
    reactive: dict[str, ReactiveSchedule] = field(default_factory=dict)
    trust_remote_code: bool = False

    def check(self, tokenizer: Any, progress: Progress | None = None) -> None:
        """Let every energy refuse what cannot go with the policy's tokenizer: nothing is loaded yet.

        Raises:
            ModelError: a reward model that cannot be found, or has another vocabulary.
        """
        finder = ModelFinder(self.hub, progress or silent, self.trust_remote_code)
        for part in self.parts:
            with blame(part.owner, user_errors_pass=True):
                part.energy.check(finder, tokenizer)

    def bind(
        self,
        policy: Policy,
        prompts: Sequence[str | Messages],
        ledger: Ledger,
        clock: Clock,
        progress: Progress | None = None,
    ) -> Problem:
        """Load the reward models, run the prompts once and put everything together.

        Raises:
            RecipeError: an empty or too long prompt, a sampler that cannot work with the energy.
            ModelError: a reward model that cannot be read, or does not fit the policy.
        """
        length = self.recipe.max_new_tokens
        asked = as_prompts(prompts)
        rows = policy.encode(asked, length)
        prefix = policy.prefix(rows)
        ledger.prompts = len(asked)
        ledger.forward("policy", sum(len(r) for r in rows), policy.body_parameters)
        finder = ModelFinder(self.hub, progress or silent, self.trust_remote_code)
        context = Context(policy, asked, prefix, length, ledger, clock, finder, Meter(ledger))
        locked, text = None, getattr(self.initializer, "locked_text", None)
        if text is not None:
            locked, prefix = lock(text, policy, rows, prefix, length, ledger)
            length -= len(locked)
        labels = unique_labels([p.label for p in self.parts])
        terms = [self._term(part, label, context) for part, label in zip(self.parts, labels, strict=True)]
        self.settle([TermFacts.bound(t, p.energy.joint) for t, p in zip(terms, self.parts, strict=True)])
        chains = self.recipe.sampler.chains or self.sampler.default_chains
        relax: Any = _no_relaxation
        if self.relaxation is not None:
            name = next(i.name for i in self.items if i.kind == "relaxation")
            relax = Relaxation(self.relaxation, clock, EmbeddingSpace(policy.table[: policy.vocab_size]), name)
        return Problem(
            policy=policy,
            prompts=asked,
            prefix=prefix,
            chains=chains,
            length=length,
            terms=terms,
            initializer=self.initializer,
            relaxation=relax,
            top_k=self.top_k,
            run=RunState.begin(ledger, clock, len(asked), chains, policy.device),
            locked=locked,
        )

    @property
    def sampler(self) -> Sampler:
        """The sampler; there is one as soon as the composition is bound."""
        assert self.settled is not None
        return self.settled

    def settle(self, terms: Sequence[TermFacts]) -> None:
        """Settle on a sampler as soon as the terms tell which one it is, and check that it can work with them.

        Raises:
            RecipeError: a recipe without a sampler that goes with the energy, or as `choose`.
            PluginError: as `choose`.
        """
        name = self.recipe.sampler.name
        wanted = automatic(terms) if name == "auto" else name
        if wanted is None:
            return
        if self.settled is None:
            self.choose(wanted)
        check_energy(wanted, self.sampler, terms, self.recipe, self.hub.items("sampler"))

    def choose(self, name: str) -> None:
        """Make the sampler, and the relaxation it needs.

        Raises:
            RecipeError: an unknown name, a wrong option, a relaxation that the sampler cannot work with.
            PluginError: the plugin's class is no sampler.
        """
        item = self.hub.get("sampler", name, "sampler")
        sampler_class(item)
        self.items.append(item)
        options = _scheduled(self.recipe.sampler.options, self.hub, "sampler", self.items)
        self.reactive |= _reactive(options, "sampler")
        sampler: Sampler = item.build(options, f"sampler ({name})")
        self.settled, default, spec = sampler, sampler.default_relaxation, self.recipe.relaxation
        if default is None and spec is not None:
            raise RecipeError(
                f"the recipe sets a relaxation, and its sampler {name!r} relaxes nothing",
                hint="leave the relaxation out, or choose a sampler such as sea",
            )
        if default is None:
            return
        given = dict(default) if spec is None else {"name": spec.name, **spec.options}
        kind, top_k = given.pop("name"), given.pop("top_k", default["top_k"])
        if not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 0:
            raise RecipeError(f"relaxation: top_k is {top_k!r}", expected="a whole number; 0 for the whole vocabulary")
        relaxation = self.hub.get("relaxation", kind, "relaxation")
        check_relaxation(name, sampler, relaxation)
        self.items.append(relaxation)
        checked = _scheduled(given, self.hub, "relaxation", self.items)
        self.reactive |= _reactive(checked, "relaxation")
        self.relaxation, self.top_k = relaxation.build(checked, f"relaxation ({kind})"), top_k or None
        if takes_points(relaxation.target):
            if spec is not None and spec.options.get("top_k"):
                raise RecipeError(
                    f"relaxation: top_k = {top_k}, and {kind!r} looks among all tokens for the nearest",
                    hint="leave top_k out",
                )
            self.top_k = None

    @property
    def joint(self) -> list[str]:
        """Labels of the energies of a set of chains: in them the chains of a prompt see each other."""
        return [part.label for part in self.parts if part.energy.joint]

    def _term(self, part: Part, label: str, context: Context) -> Term:
        meter = Meter(context.ledger)
        with blame(part.owner, user_errors_pass=True), meter.counting():
            bound = as_bound(part.energy.bind(replace(context, meter=meter)), part.owner)
        if part.limits is not None:
            bound = hinge(bound, *part.limits)
        owner = part.qualified or label
        return Term(label, part.weight, bound, owner, meter, part.is_time_dependent)


def _no_relaxation(logits: Tensor, noise: Noise) -> Tensor:
    raise TypeError("this sampler has no relaxation")


def compose(
    recipe: Recipe,
    hub: PluginHub,
    extra: Sequence[Part] = (),
    allow_code: Collection[str] = (),
    trust_remote_code: bool = False,
) -> Composition:
    """Check a recipe against the plugins there are.

    Args:
        recipe: names and numbers.
        hub: knows the plugins.
        extra: terms given as Python objects, beside the recipe's.
        allow_code: functions, as `package.module:function`, that an energy may run.
        trust_remote_code: whether Python that comes with a model may run.

    Raises:
        RecipeError: unknown names, wrong options, no term besides the reference (the rewards are listed), or a function
            that is not allowed.
        PluginError: a plugin that the recipe names is broken.
    """
    items: list[Item] = []
    parts = [_part(spec, hub, f"energies[{i}]", items) for i, spec in enumerate(recipe.energies)]
    parts += [_part(spec, hub, f"constraints[{i}]", items) for i, spec in enumerate(recipe.constraints)]
    for part in parts:
        refuse_unless_allowed(part.energy.code, allow_code, f"energy {part.label!r}")
    parts += extra
    if all(p.item is not None and p.item.qualified == "sea-toolkit:reference" for p in parts):
        rewards = [i.name for i in hub.items("model") if i.build({}).role == "reward"]
        raise RecipeError(
            "there is nothing to align to: no reward was given",
            expected="at least one reward or another energy",
            hint=f"--reward NAME[=WEIGHT] with one of: {', '.join(rewards)} (sea-toolkit models list)",
        )
    first = hub.get("initializer", recipe.initializer.name, "initializer")
    items.append(first)
    initializer = first.build(
        _scheduled(recipe.initializer.options, hub, "initializer", items), f"initializer ({first.name})"
    )
    made = Composition(recipe, hub, parts, initializer, items, trust_remote_code=trust_remote_code)
    spec = recipe.sampler
    if spec.steps is not None and spec.budget is not None:
        raise RecipeError(f"the sampler has steps = {spec.steps} and budget = {spec.budget}", expected="one of them")
    for what, given in (("sampler options", list(spec.options)), ("a relaxation", recipe.relaxation)):
        if given and spec.name == "auto":
            raise RecipeError(f"the recipe sets {what} without naming a sampler", hint='sampler = { name = "tilted" }')
    labels = unique_labels([p.label for p in parts])
    made.settle([
        TermFacts.unbound(label, p.qualified or label, p.energy, p.is_reference)
        for label, p in zip(labels, parts, strict=True)
    ])  # fmt: skip
    return made


def _part(spec: EnergySpec | ConstraintSpec, hub: PluginHub, where: str, items: list[Item]) -> Part:
    item = hub.get("energy", spec.name, where)
    items.append(item)
    tables = {option.name for option in item.options if option.table}
    plain = {k: v for k, v in spec.options.items() if k in tables}
    options = _scheduled({k: v for k, v in spec.options.items() if k not in tables}, hub, where, items)
    built = as_energy(item.build({**options, **plain}, f"{where} ({spec.name})"), item.owner)
    weight = _schedule(spec.weight, hub, f"{where}.weight", items)
    for place, schedule in _reactive({**options, "weight": weight}, where).items():
        raise RecipeError(
            f"{place}: schedule {schedule.name!r} reacts to the run, and an energy may not: texts are compared by it",
            expected="a number, or a schedule of the run's progress alone",
            hint="linear or cosine here; let an option of the sampler or of the relaxation react",
        )
    follows = any(isinstance(v, Schedule) for v in options.values())
    label = spec.label or built.label or item.name
    if not isinstance(spec, ConstraintSpec):
        return Part(built, item, weight, label, is_time_dependent=follows)
    if spec.min is None and spec.max is None:
        raise RecipeError(f"{where} ({spec.name}) has no limit", expected="min, max or both")
    if spec.min is not None and spec.max is not None and spec.min > spec.max:
        raise RecipeError(f"{where} ({spec.name}): min = {spec.min:g} is above max = {spec.max:g}")
    return Part(built, item, weight, f"{label} limit" if not spec.label else label, (spec.min, spec.max), follows)


def _scheduled(options: dict[str, Any], hub: PluginHub, where: str, items: list[Item]) -> dict[str, Any]:
    return {k: _schedule(v, hub, f"{where}.{k}", items) for k, v in options.items()}


def _reactive(options: dict[str, Any], where: str) -> dict[str, ReactiveSchedule]:
    return {f"{where}.{k}": v for k, v in options.items() if isinstance(v, ReactiveSchedule)}


def _schedule(value: Any, hub: PluginHub, where: str, items: list[Item]) -> Any:
    """`{ schedule = "cosine", … }` becomes a schedule; anything else stays what it is."""
    if not isinstance(value, dict):
        return value
    if "schedule" not in value:
        raise RecipeError(f"{where} is a table without a schedule", expected='{ schedule = "cosine", start = 1.0, … }')
    options = {k: v for k, v in value.items() if k != "schedule"}
    item = hub.get("schedule", value["schedule"], where)
    items.append(item)
    built = item.build(options, f"{where} ({item.name})")
    kind = ReactiveSchedule if inspect.isclass(item.target) else Schedule
    return kind(item.qualified, built, owner=item.distribution)
