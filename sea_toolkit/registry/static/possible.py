"""What a plugin could do if it were loaded: a run loads those that could matter to it, and no others."""

from __future__ import annotations

from dataclasses import dataclass

from sea_toolkit.registry.records import KINDS, PluginRecord
from sea_toolkit.registry.static.inspection import examined
from sea_toolkit.registry.static.mentions import mentions


@dataclass(frozen=True)
class Possible:
    """What a plugin may implement and register.

    Attributes:
        hooks: that its code names, or that it had when it was loaded last; None if its code cannot be read.
        names: kind to the names that are known.
        complete: kinds whose names are all known.
    """

    hooks: frozenset[str] | None
    names: dict[str, set[str]]
    complete: frozenset[str]

    def has_hook(self, hook: str) -> bool:
        """Whether it may implement the hook."""
        return self.hooks is None or hook in self.hooks

    def provides(self, kind: str, name: str) -> bool:
        """Whether it may register this name in this kind."""
        more = self.has_hook(KINDS[kind]) and kind not in self.complete
        return more or name in self.names.get(kind, ())


def possible(record: PluginRecord, remembered: PluginRecord) -> Possible:
    """Judge a plugin by its code and by its last load.

    Args:
        record: of the plugin.
        remembered: a record that holds what is known from its last load, if that still counts.
    """
    counts, seen = mentions(record), examined(record)
    names: dict[str, set[str]] = {}
    for provides in (seen.provides, remembered.provides):
        for kind, items in provides.items():
            names.setdefault(kind, set()).update(items)
    if counts is None:
        return Possible(None, names, frozenset())
    # a hook that is named once is the one that was read; another mention may be another way to register
    complete = {k for k, hook in KINDS.items() if counts.get(hook) == 1 and hook in seen.hooks}
    return Possible(frozenset({*counts, *remembered.hooks}), names, frozenset(complete - set(seen.unlisted)))
