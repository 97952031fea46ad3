"""From a recipe to objects: names become plugins, options are checked, and only then is anything loaded."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.noise import Noise
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.embedding_space import EmbeddingSpace
from sea_toolkit.lm.policy import Policy
from sea_toolkit.problem.locked_prefix import lock
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.scores import unique_labels
from sea_toolkit.problem.terms import Context, Term, bind, hinge
from sea_toolkit.registry.allowed_code import refuse_unless_allowed
from sea_toolkit.relaxations.base import Relaxation, takes_points
from sea_toolkit.runs.recipe import ConstraintSpec, EnergySpec, Recipe
from sea_toolkit.schedules.base import Schedule
from sea_toolkit.schedules.reactive import ReactiveSchedule
from sea_toolkit.util.progress import Progress, silent

if TYPE_CHECKING:
    from sea_toolkit.registry.hub import PluginHub
    from sea_toolkit.registry.records import Item

AUTO = {True: "tilted", False: "best-of-n"}
"""The sampler of a recipe that names none: by whether some term besides the reference has a gradient."""


@dataclass(frozen=True)
class Part:
    """One term before it is bound: what was built, from which item, and how it counts; see `Term` for the rest."""

    built: Any
    item: Item | None
    weight: Any
    label: str
    limits: tuple[float | None, float | None] | None = None
    moves: bool = False


def own_parts(energies: Mapping[str, tuple[float, Callable[..., Any]]] | None) -> list[Part]:
    return [
        Part(f if hasattr(f, "bind") else functools.partial(f), None, weight, label)
        for label, (weight, f) in (energies or {}).items()
    ]


@dataclass
class Composition:
    """A recipe whose every name and option has been checked; no weights are loaded yet.

    `reactive`: the schedules that follow the run, by their place in the recipe.
    """

    recipe: Recipe
    hub: PluginHub
    parts: list[Part]
    initializer: Any
    items: list[Item]
    sampler: Any = None
    relaxation: Any = None
    top_k: int | None = None
    reactive: dict[str, ReactiveSchedule] = field(default_factory=dict)

    def check(self, tokenizer: Any, progress: Progress | None = None) -> None:
        """Let every energy with a `check(hub, tokenizer, progress)` refuse the policy's tokenizer: nothing is loaded
        yet.

        Raises:
            ModelError: a reward model that cannot be found, or has another vocabulary.
        """
        for part in self.parts:
            if hasattr(part.built, "check"):
                part.built.check(self.hub, tokenizer, progress or silent)

    def bind(
        self, policy: Policy, prompts: Sequence[str], ledger: Ledger, clock: Clock, progress: Progress | None = None
    ) -> Problem:
        """Load the reward models, run the prompts once and put everything together.

        Raises:
            RecipeError: an empty or too long prompt, a sampler that cannot work with the energy.
            ModelError: a reward model that cannot be read, or does not fit the policy.
        """
        length = self.recipe.max_new_tokens
        rows = policy.encode(prompts, length)
        prefix = policy.prefix(rows)
        ledger.prompts = len(prompts)
        ledger.forward("policy", sum(len(r) for r in rows), policy.body_parameters)
        context = Context(policy, list(prompts), prefix, length, ledger, clock, self.hub, progress)
        locked, text = None, getattr(self.initializer, "locked_text", None)
        if text is not None:
            locked, prefix = lock(text, policy, rows, prefix, length, ledger)
            length -= len(locked)
        labels = unique_labels([p.label for p in self.parts])
        terms = [self._term(part, label, context) for part, label in zip(self.parts, labels, strict=True)]
        if self.sampler is None:
            self.choose(AUTO[any(t.differentiable and not t.is_policy for t in terms)])
        chains = self.recipe.sampler.chains or self.sampler.default_chains
        relax: Any = _no_relaxation
        if self.relaxation is not None:
            name = next(i.name for i in self.items if i.kind == "relaxation")
            relax = Relaxation(self.relaxation, clock, EmbeddingSpace(policy.table, policy.token_ids), name)
        start = self.initializer
        return Problem(
            policy, list(prompts), prefix, chains, length, terms, start, relax, self.top_k, ledger, clock, locked
        )

    def choose(self, name: str) -> None:
        """Settle on a sampler, and on the relaxation it needs.

        Raises:
            RecipeError: an unknown name, a wrong option, a relaxation for a sampler that relaxes nothing, an energy
                of all chains for a sampler that takes them one by one.
        """
        item = self.hub.get("sampler", name, "sampler")
        self._refuse_chains(name, getattr(item.target, "joint", False))
        self.items.append(item)
        options = _scheduled(self.recipe.sampler.options, self.hub, "sampler", self.items)
        self.reactive |= _reactive(options, "sampler")
        self.sampler = item.build(options, f"sampler ({name})")
        default, spec = self.sampler.default_relaxation, self.recipe.relaxation
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
        return [part.label for part in self.parts if getattr(part.built, "joint", False)]

    def _refuse_chains(self, sampler: str, joint: bool) -> None:
        if not self.joint:
            return
        what = f"the energy {self.joint[0]!r} is one of all chains of a prompt"
        if not joint:
            fit = ", ".join(i.name for i in self.hub.items("sampler") if getattr(i.target, "joint", False))
            raise RecipeError(
                f"{what}, and the sampler {sampler!r} accepts or keeps them one by one",
                expected=f"a sampler that moves them together: {fit}",
                hint='sampler = { name = "sea" }',
            )
        if self.recipe.sampler.chains == 1:
            raise RecipeError(f"{what}, and there is one", expected="chains = 2 or more")
        if self.recipe.rewrite is not None:
            raise RecipeError(f"{what}, and rewrites compete one by one", hint="leave rewrite out")

    def _term(self, part: Part, label: str, context: Context) -> Term:
        bound = bind(part.built, context)
        owner = part.item.qualified if part.item else label
        is_reward = getattr(bound, "is_reward", False)
        if part.limits is not None:
            bound = hinge(bound, -1.0 if is_reward else 1.0, *part.limits)
            return Term(label, part.weight, bound, owner, moves=part.moves)
        return Term(label, part.weight, bound, owner, getattr(bound, "is_policy", False), is_reward, moves=part.moves)


def _no_relaxation(logits: Tensor, noise: Noise) -> Tensor:
    raise TypeError("this sampler has no relaxation")


def compose(
    recipe: Recipe, hub: PluginHub, extra: Sequence[Part] = (), allow_code: Collection[str] = ()
) -> Composition:
    """Check a recipe against the plugins there are.

    Args:
        recipe: names and numbers.
        hub: knows the plugins.
        extra: terms given as Python objects, beside the recipe's.
        allow_code: functions, as `package.module:function`, that an energy may run.

    Raises:
        RecipeError: unknown names, wrong options, no term besides the reference (the rewards are listed), or a function
            that is not allowed.
        PluginError: a plugin that the recipe names is broken.
    """
    items: list[Item] = []
    parts = [_part(spec, hub, f"energies[{i}]", items) for i, spec in enumerate(recipe.energies)]
    parts += [_part(spec, hub, f"constraints[{i}]", items) for i, spec in enumerate(recipe.constraints)]
    for part in parts:
        refuse_unless_allowed(part.built, allow_code, f"energy {part.label!r}")
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
    made = Composition(recipe, hub, parts, initializer, items)
    spec = recipe.sampler
    if spec.steps is not None and spec.budget is not None:
        raise RecipeError(f"the sampler has steps = {spec.steps} and budget = {spec.budget}", expected="one of them")
    if spec.name != "auto":
        made.choose(spec.name)
        return made
    for what, given in (("sampler options", list(spec.options)), ("a relaxation", recipe.relaxation)):
        if given:
            raise RecipeError(f"the recipe sets {what} without naming a sampler", hint='sampler = { name = "tilted" }')
    return made


def _part(spec: EnergySpec | ConstraintSpec, hub: PluginHub, where: str, items: list[Item]) -> Part:
    item = hub.get("energy", spec.name, where)
    items.append(item)
    tables = {option.name for option in item.options if option.table}
    plain = {k: v for k, v in spec.options.items() if k in tables}
    options = _scheduled({k: v for k, v in spec.options.items() if k not in tables}, hub, where, items)
    built = item.build({**options, **plain}, f"{where} ({spec.name})")
    weight = _schedule(spec.weight, hub, f"{where}.weight", items)
    for place, schedule in _reactive({**options, "weight": weight}, where).items():
        raise RecipeError(
            f"{place}: schedule {schedule.name!r} reacts to the run, and an energy may not: texts are compared by it",
            expected="a number, or a schedule of the run's progress alone",
            hint="linear or cosine here; let an option of the sampler or of the relaxation react",
        )
    moves = any(isinstance(v, Schedule) for v in options.values())
    label = spec.label or getattr(built, "label", None) or item.name
    if not isinstance(spec, ConstraintSpec):
        return Part(built, item, weight, label, moves=moves)
    if spec.min is None and spec.max is None:
        raise RecipeError(f"{where} ({spec.name}) has no limit", expected="min, max or both")
    if spec.min is not None and spec.max is not None and spec.min > spec.max:
        raise RecipeError(f"{where} ({spec.name}): min = {spec.min:g} is above max = {spec.max:g}")
    return Part(built, item, weight, f"{label} limit" if not spec.label else label, (spec.min, spec.max), moves)


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
