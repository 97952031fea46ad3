"""What is registered: the plugins that passed every check, and their items; a plugin is registered completely or not at
all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pluggy

from sea_toolkit import hookspecs
from sea_toolkit.registry.blame import AttributedError, attribute_errors_to
from sea_toolkit.registry.items import Item
from sea_toolkit.registry.records import PluginRecord, Status
from sea_toolkit.registry.staging import Staged


class Registry:
    """Staged plugins go in whole and come out whole."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._plugins: dict[PluginRecord, Any] = {}
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)

    def add(self, record: PluginRecord, staged: Staged, status: Status) -> None:
        """Register a staged plugin and fill its record.

        Raises:
            AttributedError: pluggy refuses it, or the same object is registered already.
        """
        for other, plugin in self._plugins.items():
            if plugin is staged.plugin:
                raise AttributedError(record.label, f"is the same object as {other.label}")
        with attribute_errors_to(record.owner):  # two files, or two temporary plugins, may share a key
            self._manager.register(staged.plugin, f"{record.key} {id(record)}" if record.from_user else record.key)
        self._plugins[record] = staged.plugin
        self.items += staged.items
        record.status, record.hooks = status, staged.hooks
        record.warnings += staged.warnings
        for item in staged.items:
            record.provides.setdefault(item.kind, {})[item.name] = item.summary

    def remove(self, record: PluginRecord) -> None:
        """Undo `add`."""
        self._manager.unregister(self._plugins.pop(record))
        self.items = [item for item in self.items if item.record is not record]

    def has(self, record: PluginRecord) -> bool:
        """Whether the plugin is registered."""
        return record in self._plugins

    def functions(self, hook: str, records: list[PluginRecord]) -> list[tuple[PluginRecord, Callable[..., Any]]]:
        """Who implements a hook, in the order of `records` (`tryfirst` and `trylast` respected)."""
        impls = {id(impl.plugin): impl for impl in getattr(self._manager.hook, hook).get_hookimpls()}
        present = [
            (record, impls[id(self._plugins[record])])
            for record in records
            if record in self._plugins and id(self._plugins[record]) in impls
        ]
        present.sort(key=lambda pair: pair[1].trylast - pair[1].tryfirst)
        return [(record, impl.function) for record, impl in present]
