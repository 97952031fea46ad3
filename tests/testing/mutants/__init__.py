"""Plugins that are broken on purpose, one for each property and more where it can break in several ways."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sea_toolkit import testing
from sea_toolkit.testing import ConformanceError, Setting
from tests.helpers import PROMPTS, hub, quick_bridges


@dataclass(frozen=True)
class Mutant:
    """A broken plugin and the property that it breaks; the first line of its docstring says how."""

    kind: str
    breaks: str
    thing: Any
    options: dict[str, Any] = field(default_factory=dict)
    setting: dict[str, Any] = field(default_factory=dict)

    @property
    def what(self) -> str:
        return (self.thing.__doc__ or "").strip().splitlines()[0]

    def __str__(self) -> str:
        return f"{self.kind}: {self.thing.__name__}"


def collector(kind: str, found: list[Mutant]) -> Callable[..., Any]:
    """`@mutant("shape")` above a broken plugin; `setting` may be given, the rest are options."""

    def mutant(breaks: str, setting: dict[str, Any] | None = None, **options: Any) -> Callable[[Any], Any]:
        def add(thing: Any) -> Any:
            found.append(Mutant(kind, breaks, thing, options, setting or {}))
            return thing

        return add

    return mutant


SMALL: dict[str, dict[str, Any]] = {"sampler": {"prompts": PROMPTS[:2], "chains": 2, "length": 6}}
"""Kinds whose checks take seconds, and a place in which they take less."""

_SAID: dict[str, ConformanceError | None] = {}


def caught(mutant: Mutant) -> ConformanceError | None:
    """What the check says of it; run once per process."""
    if str(mutant) not in _SAID:
        _SAID[str(mutant)] = _run(mutant)
    return _SAID[str(mutant)]


def _run(mutant: Mutant) -> ConformanceError | None:
    check = getattr(testing, f"check_{mutant.kind}")
    try:
        with quick_bridges():
            check(
                mutant.thing,
                Setting(hub=hub(), **SMALL.get(mutant.kind, {}), **mutant.setting),
                **copy.deepcopy(mutant.options),
            )
    except ConformanceError as error:
        return error
    return None
