"""PluginHub: finds the plugins, loads each under its own guard, and answers by name.

Making a hub reads metadata only. A plugin is imported when a name is asked for that it may have, when a run begins that
it may watch, or by `load()`; whatever it does wrong stays in its own `PluginRecord`. The hub is an object that is
passed along.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from sea_toolkit.errors import RecipeError, SeaError, did_you_mean
from sea_toolkit.registry import lookup, outcomes, sources
from sea_toolkit.registry.blame import AttributedError, attribute_errors_to
from sea_toolkit.registry.commands import collect_commands
from sea_toolkit.registry.items import Item
from sea_toolkit.registry.loader import Loader
from sea_toolkit.registry.records import CORE, KINDS, PluginRecord
from sea_toolkit.registry.signatures import signature_warnings
from sea_toolkit.registry.sources import Source
from sea_toolkit.registry.staging import call_hook
from sea_toolkit.registry.static import inspection

if TYPE_CHECKING:
    import click

    from sea_toolkit.events import Event

log = logging.getLogger("sea_toolkit.plugins")

TRACE = "SEA_TRACE_PLUGINS"


class PluginHub:
    """All plugins of a process, their items and their state. Make one with `PluginHub.discover()`."""

    def __init__(self, sources: Iterable[Source], left_out: Iterable[str] = (), *, strict: bool = False) -> None:
        self.left_out = list(left_out)
        self.strict = strict
        self._loader = Loader(sources, strict=strict)
        self._muted: set[PluginRecord] = set()

    @classmethod
    def discover(
        cls,
        plugins: Iterable[str] | None = None,
        files: Iterable[str | os.PathLike[str]] = (),
        strict: bool = False,
    ) -> PluginHub:
        """Find the installed plugins without importing them.

        Args:
            plugins: names of entry points or distributions to consider; None: what the environment variable
                `SEA_PLUGINS` lists (empty: none), or everything.
            files: plugins in single Python files, added to the above.
            strict: let any broken plugin be an error as soon as plugins are loaded.

        Raises:
            RecipeError: a name in `plugins` or a file does not exist.
        """
        if os.environ.get(TRACE, "") not in ("", "0"):
            _trace_to_stderr()
        kept, left_out = sources.selected(sources.installed(), plugins)
        given_files = {source.record.value: source for source in map(sources.from_file, files)}
        return cls([*kept, *given_files.values()], left_out, strict=strict)

    @property
    def records(self) -> list[PluginRecord]:
        """One for each plugin: the built-in families, then by distribution and name, then files."""
        return self._loader.records

    def items(self, kind: str | None = None) -> list[Item]:
        """What is registered so far (see `load`), built-in first, then by name."""
        chosen = [item for item in self._loader.registry.items if kind in (None, item.kind)]
        order = list(KINDS)
        return sorted(chosen, key=lambda i: (order.index(i.kind), i.distribution != CORE, i.name, i.distribution))

    def load(self, *, tolerant: bool = False) -> None:
        """Load every plugin not loaded yet, each under its own guard. A second call does nothing.

        Args:
            tolerant: leave every failure to the records, also with `strict` and for files given by the user.

        Raises:
            PluginError: a plugin is broken and the hub is strict, or the user named the plugin's file.
        """
        self._loader.load(self._loader.sources, tolerant)

    def load_for(self, hook: str, *, tolerant: bool = False) -> None:
        """Load the plugins that may implement a hook, judged by their code and their last load.

        Files that the user gave are loaded in any case, and every plugin if the hub is strict.

        Args:
            hook: its name.
            tolerant: as of `load`.

        Raises:
            PluginError: as `load`.
        """
        self._loader.load(self._loader.choose(lambda could: could.has_hook(hook)), tolerant)

    def get(self, kind: str, name: str, for_what: str = "") -> Item:
        """The item of this name.

        Args:
            kind: a key of `KINDS`.
            name: `distribution:name`, or a short name: the built-in one if there is one, else the only one.
            for_what: the place that asks, for messages, such as `energies[1]`.

        Raises:
            RecipeError: there is no such name, or two plugins claim it.
            PluginError: the plugin that has the name is broken.
        """
        if kind not in KINDS:
            raise RecipeError(f"there is no kind of item {kind!r}", hint=did_you_mean(kind, KINDS))
        items = self.find_anywhere(name, kind)
        if len(items) == 1:
            return items[0]
        raise lookup.clash(items, for_what) if items else self.unknown(kind, name, for_what)

    def find(self, name: str, kind: str | None = None) -> list[Item]:
        """Every item that `name` may mean, in all kinds or one; plugins are loaded as far as needed.

        Raises:
            PluginError: a plugin had to be loaded, is broken, and the hub is strict or the user named its file.
        """
        if ":" in name:
            self._loader.load([s for s in self._loader.sources if lookup.is_from(s.record, name)])
        elif kind is None or not any(item.name == name and item.distribution == CORE for item in self.items(kind)):
            kinds = list(KINDS) if kind is None else [kind]  # another plugin may claim the name, or have it elsewhere
            self._loader.load(self._loader.choose(lambda could: any(could.provides(k, name) for k in kinds)))
        return lookup.matching(self.items(kind), name)

    def find_anywhere(self, name: str, kind: str | None = None) -> list[Item]:
        """As `find`; where nobody seems to have the name, every plugin is loaded: one may hide what it registers.

        Raises:
            PluginError: as `find`.
        """
        if not self.find(name, kind):
            self.load()
        return self.find(name, kind)

    def unknown(self, kind: str | None, name: str, for_what: str = "") -> SeaError:
        """The error for an unknown name; see `lookup.unknown`."""
        return lookup.unknown(self.records, self.items(), self.left_out, kind, name, for_what)

    @property
    def notes(self) -> list[str]:
        """What a run has to tell of the plugins that were loaded: what their code changed for the whole process."""
        return [f"{record.label}: {change}" for record in self.records for change in record.changes]

    def loaded(self) -> dict[str, dict[str, str]]:
        """Every plugin whose code was imported; see `Loader.loaded`."""
        return self._loader.loaded()

    def clashes(self) -> list[lookup.Clash]:
        """Names claimed by several third-party plugins, as far as is known; see `inspect`."""
        return lookup.clashes(self.records)

    def inspect(self) -> None:
        """Learn about plugins that are not loaded without importing them: from the last load, else their source."""
        unattempted = [source.record for source in self._loader.sources if source.record not in self._loader.attempted]
        unknown = [record for record in unattempted if record.unloadable is None]
        from_user = [record for record in unknown if record.from_user]
        for record in [*from_user, *outcomes.recall([record for record in unknown if not record.from_user])]:
            inspection.inspect(record)
        lookup.warn_of_shadowing(self.records)

    def verify(self) -> None:
        """Load everything, lazily registered targets too; failures go to the records."""
        self.load(tolerant=True)
        for item in self.items():
            if item.distribution != CORE and self._loader.registry.has(item.record):
                try:
                    _ = item.option_model
                    for warning in signature_warnings(item.kind, item.name, item.target):
                        item.record.warn(warning)
                except AttributedError as error:
                    item.record.exception = error
                    self._loader.withdraw(item.record, f"{item.kind} {item.name!r} {error.cause}")
        self._loader.remember(self._loader.sources)

    def observe(self, event: Event) -> list[str]:
        """Call each plugin's `sea_observe`; return what newly failed. Who fails once is not called again."""
        failures = []
        for record, function in self._loader.registry.functions("sea_observe", self.records):
            if record in self._muted:
                continue
            try:
                with attribute_errors_to(record.owner.with_code_of(function), "in sea_observe"):
                    call_hook(record, "sea_observe", function, event=event)
            except SeaError as error:
                self._muted.add(record)
                record.exception = error
                record.warn(str(error))
                log.warning("%s; it no longer watches", error)
                failures.append(str(error))
        return failures

    def add_commands(self, group: click.Group, reserved: Iterable[str] = ()) -> None:
        """Let the plugins add commands to `group`; loads them.

        Args:
            group: gets each command under its short name and under `distribution:name`. A short name that two
                plugins claim becomes a command that says so.
            reserved: names that cannot be taken, beside those already in `group`.

        Raises:
            PluginError: as `load`; a plugin that fails in this hook is withdrawn, as if it had failed to load.
        """
        self.load_for("sea_register_commands")
        functions = self._loader.registry.functions("sea_register_commands", self.records)
        for record, error in collect_commands(group, functions, reserved):
            self._loader.withdraw(record, error)
        self._loader.complain(self._loader.sources)

    @contextlib.contextmanager
    def temporarily(self, plugin: Any, name: str = "plugin") -> Iterator[PluginRecord]:
        """Have a plugin object (a module, an instance) take part within a `with` block, as `temporary:…`.

        Raises:
            PluginError: the plugin is broken.
        """
        record = PluginRecord(name, "temporary", "0", type(plugin).__name__, from_user=True)
        source = Source(record, lambda: plugin)
        self._loader.load([source])
        self._loader.sources.append(source)
        try:
            yield record
        finally:
            self._loader.sources.remove(source)
            if self._loader.registry.has(record):
                self._loader.withdraw(record, "no longer installed")


def _trace_to_stderr() -> None:
    log.setLevel(logging.DEBUG)
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        log.addHandler(handler)
