"""What the hub knows of each plugin."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from sea_toolkit.registry.blame import Owner
from sea_toolkit.util.version import DISTRIBUTION

CORE = DISTRIBUTION
"""The distribution that the built-in items belong to."""

KINDS: dict[str, str] = {
    "energy": "sea_register_energies",
    "relaxation": "sea_register_relaxations",
    "schedule": "sea_register_schedules",
    "sampler": "sea_register_samplers",
    "initializer": "sea_register_initializers",
    "model": "sea_register_models",
    "recipe": "sea_register_recipes",
    "engine": "sea_register_engines",
}
"""Item kind to the hook that registers it."""

Status = Literal["built-in", "ok", "not loaded", "broken", "refused"]


@dataclass(eq=False)
class PluginRecord:
    """One plugin and its state.

    Attributes:
        name, value: of the entry point.
        distribution, version: where it comes from.
        status: "refused" is a plugin made for another `sea_api`.
        provides: kind to name to summary.
        checked: where the state comes from: "built-in", "loaded" and a time, or "static" (a look at the source without
            importing it).
        from_user: not from an installed distribution but a file or an object that the user gave.
        unlisted: kinds of which it may register other names than those in `provides`.
        metadata: the `.dist-info` or `.egg-info` of the distribution.
        requirement: the distribution's line in a requirements file.
        oddities: warnings about the metadata; they are among the `warnings` in any state.
        unloadable: why the metadata alone rules a load out, or None.
        changes: what its code changed for the whole process, and the hub put back.
        exception: what it last failed with.
    """

    name: str
    distribution: str
    version: str
    value: str
    status: Status = "not loaded"
    error: str | None = None
    warnings: list[str] = field(default_factory=list)
    provides: dict[str, dict[str, str]] = field(default_factory=dict)
    hooks: list[str] = field(default_factory=list)
    checked: str | None = None
    file: str | None = None
    from_user: bool = False
    unlisted: list[str] = field(default_factory=list)
    metadata: str | None = None
    requirement: str = ""
    oddities: list[str] = field(default_factory=list)
    unloadable: str | None = None
    changes: list[str] = field(default_factory=list)
    exception: BaseException | None = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """`distribution:name`, unique in a hub even if two distributions call their entry point alike."""
        return f"{self.distribution}:{self.name}"

    @property
    def label(self) -> str:
        """For messages."""
        return f"plugin {self.name!r} of {self.distribution} {self.version}"

    @property
    def owner(self) -> Owner:
        """Who is at fault when its code fails: a file, or the top package of the entry point."""
        return Owner(self.label, frozenset([self.file or self.value.partition(":")[0].partition(".")[0]]))

    @property
    def failed(self) -> bool:
        """Broken, or refused for its API version."""
        return self.status in ("broken", "refused")

    def fail(self, error: str, status: Status = "broken") -> None:
        """Record a failure; what the plugin provides is withdrawn."""
        self.status, self.error, self.hooks = status, error, []

    def rule_out(self, error: str) -> None:
        """Record that its metadata alone shows that it cannot be loaded."""
        self.unloadable = error
        self.fail(error)

    def warn(self, text: str) -> None:
        """Note something legal but suspicious, once."""
        if text not in self.warnings:
            self.warnings.append(text)


def normalize(distribution: str) -> str:
    """The spelling of a distribution's name that PEP 503 compares by."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
