"""Where a check happens: which policy, prompts and plugins; and the item under test, registered as a plugin's."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from sea_toolkit.core.clock import Clock
from sea_toolkit.errors import SeaError
from sea_toolkit.hookspecs import hookimpl
from sea_toolkit.lm.policy import Policy
from sea_toolkit.problem.problem import Problem
from sea_toolkit.registry.allowed import NOTHING, Allowed
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.registry.items import Item
from sea_toolkit.registry.recipe_file import recipe_in
from sea_toolkit.registry.records import KINDS
from sea_toolkit.runs.compose import Composition, compose
from sea_toolkit.runs.parts import OwnEnergies
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.runs.session import Session
from sea_toolkit.testing.conformance import Checks
from sea_toolkit.testing.tiny import tiny_policy

PROMPTS = ("the rain in the town", "a", "is it on or off, and in what order?")
"""Of different lengths."""


@dataclass(frozen=True)
class Setting:
    """The place of a check; everything has a default.

    Attributes:
        policy: the language model; the tiny one if None.
        prompts: P texts, two at least.
        chains: C, two at least; `length`: T, the positions of an answer, four at least.
        texts: answers that mean something to the item (a JSON document, a price), to be scored beside random ones.
        lacks: properties that the item lacks on purpose. Each of them has to fail, so that the list stays true.
        hub: where names are looked up; by default all that is installed.
        seed: of everything random in the check.
        law: of a sampler that states another than exp(−β E): from the energies of all responses `[R]` to probabilities.
        burn, steps: of a sampler's chains when its law is checked; the first `burn` steps are discarded.

    Raises:
        SeaError: fewer prompts, chains or positions than a check compares.
    """

    policy: Policy | None = None
    prompts: Sequence[str] = PROMPTS
    chains: int = 3
    length: int = 8
    texts: Sequence[str] = ()
    lacks: Collection[str] = ()
    hub: PluginHub | None = None
    seed: int = 0
    law: Callable[[Tensor], Tensor] | None = None
    burn: int = 20
    steps: int = 20

    def __post_init__(self) -> None:
        sizes = {"prompts": len(self.prompts), "chains": self.chains, "length": self.length}
        least = {"prompts": 2, "chains": 2, "length": 4}
        if any(sizes[k] < least[k] for k in least):
            raise SeaError(f"a setting of {sizes}", expected=f"at least {least}: what is compared must be there")

    @property
    def model(self) -> Policy:
        """The policy, or the tiny one."""
        return self.policy or tiny_policy()


@contextmanager
def under_test(
    kind: str, thing: Any, properties: Mapping[str, str], setting: Setting
) -> Iterator[tuple[Checks, PluginHub, Item]]:
    """How a check begins: its list of properties, and the item as a plugin would register it, which "builds" covers.

    Args:
        kind: an item kind.
        thing: what is checked, as `registered` takes it.
        properties: of the kind.
        setting: `lacks` and `hub` count here.

    Raises:
        ConformanceError: it cannot be registered.
    """
    checks = Checks(described(kind, thing), properties, setting.lacks)
    with ExitStack() as stack:
        with checks("builds"):
            hub, item = stack.enter_context(registered(kind, thing, setting.hub))
        yield checks, hub, item


@contextmanager
def registered(kind: str, thing: Any, hub: PluginHub | None) -> Iterator[tuple[PluginHub, Item]]:
    """The hub and the item, with an object registered as a plugin would register it, for as long as the block lasts.

    Args:
        kind: an item kind.
        thing: a name, the function or class, or the file of a recipe.
        hub: where to look; None: all that is installed.

    Raises:
        RecipeError: there is no such name.
        PluginError: the object cannot be registered.
    """
    hub = hub or PluginHub.discover()
    if kind == "recipe" and isinstance(thing, Path):
        thing = recipe_in(thing)
    if isinstance(thing, str):
        yield hub, hub.get(kind, thing)
        return
    name = name_of(thing)

    def register_it(self: Any, register: Any) -> None:
        register(name, thing)

    plugin = type("UnderTest", (), {KINDS[kind]: hookimpl(register_it)})()
    with hub.temporarily(plugin, name="under-test"):
        yield hub, hub.get(kind, f"temporary:{name}")


def name_of(thing: Any) -> str:
    """Its name in messages."""
    name = thing if isinstance(thing, str) else getattr(thing, "__name__", type(thing).__name__)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "unnamed"


def described(kind: str, thing: Any) -> str:
    """For messages: `energy 'brevity'`."""
    return f"{kind} {name_of(thing)!r}"


def bound_problem(
    hub: PluginHub,
    policy: Policy,
    prompts: Sequence[str],
    *,
    chains: int,
    length: int,
    energies: Sequence[Mapping[str, Any]] = (),
    own: OwnEnergies | None = None,
    sampler: Mapping[str, Any] | None = None,
    initializer: Mapping[str, Any] | None = None,
    allowed: Allowed = NOTHING,
    clock: Clock | None = None,
    **more: Any,
) -> tuple[Composition, Problem]:
    """A problem as a run makes it, from the same recipe; the tokenizer is checked first.

    Args:
        energies: terms of the recipe.
        own: terms that are Python objects.
        sampler: name and options; best-of-n by default.
        initializer: name and options; base-samples by default.
        allowed: what the energies may do.
        clock: of the run; a plain one by default.
        more: further keys of the recipe.
    """
    data: dict[str, Any] = {"energies": list(energies), "max_new_tokens": length, **more}
    data["sampler"] = {**(sampler or {"name": "best-of-n"}), "chains": chains}
    if initializer:
        data["initializer"] = dict(initializer)
    composition, session = compose(Recipe.parse(data), hub, own, allowed), Session(hub, policy=policy)
    return composition, session.bind(composition, prompts, clock=clock)
