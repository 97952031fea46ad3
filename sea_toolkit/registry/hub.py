"""PluginHub: finds the plugins, loads each under its own guard, and answers by name.

Making a hub reads metadata only. A plugin is imported when a name is asked for that it may have, when a run begins that
it may watch, or by `load()`; whatever it does wrong stays in its own `PluginRecord`. The hub is an object that is
passed along.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sea_toolkit.errors import PluginError, RecipeError, SeaError, did_you_mean
from sea_toolkit.registry import lookup, outcomes, sources
from sea_toolkit.registry.blame import AttributedError, attribute_errors_to
from sea_toolkit.registry.commands import collect_commands
from sea_toolkit.registry.items import Item
from sea_toolkit.registry.records import CORE, KINDS, PluginRecord, Status
from sea_toolkit.registry.registered import Registry
from sea_toolkit.registry.signatures import signature_warnings
from sea_toolkit.registry.sources import Source
from sea_toolkit.registry.staging import RefusedError, call_hook, stage
from sea_toolkit.registry.static import inspection
from sea_toolkit.registry.static.files import content_digest
from sea_toolkit.registry.static.inspection import examined
from sea_toolkit.registry.static.possible import Possible, possible
from sea_toolkit.util.version import VERSION

if TYPE_CHECKING:
    import click

    from sea_toolkit.events import Event

log = logging.getLogger("sea_toolkit.plugins")

BUILT_IN = ("energies", "relaxations", "schedules", "samplers", "initializers", "models")
"""The family packages; each registers through the same hooks as any plugin, with targets imported at first use."""

TRACE = "SEA_TRACE_PLUGINS"


class PluginHub:
    """All plugins of a process, their items and their state. Make one with `PluginHub.discover()`."""

    def __init__(self, sources: Iterable[Source], left_out: Iterable[str] = (), *, strict: bool = False) -> None:
        self._sources = list(sources)
        self.left_out = list(left_out)
        self.strict = strict
        self._registry = Registry()
        self._attempted: set[PluginRecord] = set()
        self._muted: set[PluginRecord] = set()
        self._possible: dict[PluginRecord, Possible] = {}
        self._built_in = [self._load_built_in(family) for family in BUILT_IN]

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
        return [*self._built_in, *(source.record for source in self._sources)]

    def items(self, kind: str | None = None) -> list[Item]:
        """What is registered so far (see `load`), built-in first, then by name."""
        chosen = [item for item in self._registry.items if kind in (None, item.kind)]
        order = list(KINDS)
        return sorted(chosen, key=lambda i: (order.index(i.kind), i.distribution != CORE, i.name, i.distribution))

    def load(self, *, tolerant: bool = False) -> None:
        """Load every plugin not loaded yet, each under its own guard. A second call does nothing.

        Args:
            tolerant: leave every failure to the records, also with `strict` and for files given by the user.

        Raises:
            PluginError: a plugin is broken and the hub is strict, or the user named the plugin's file.
        """
        self._load(self._sources, tolerant)

    def load_for(self, *, kind: str | None = None, hook: str | None = None, tolerant: bool = False) -> None:
        """Load the plugins that may provide items of a kind or implement a hook, judged by their code and last load.

        Files that the user gave are loaded in any case, and every plugin if the hub is strict.

        Args:
            kind: a key of `KINDS`, or None.
            hook: the name of a hook, or None.
            tolerant: as of `load`.

        Raises:
            PluginError: as `load`.
        """
        wanted = hook or KINDS[kind or ""]
        self._load([s for s in self._sources if self._wanted(s) or self._could(s).has_hook(wanted)], tolerant)

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
            self._load([s for s in self._sources if lookup.is_from(s.record, name)])
        elif kind is None or not any(item.name == name and item.distribution == CORE for item in self.items(kind)):
            kinds = list(KINDS) if kind is None else [kind]  # another plugin may claim the name, or have it elsewhere
            could = [s for s in self._sources if any(self._could(s).provides(of_kind, name) for of_kind in kinds)]
            self._load([source for source in self._sources if self._wanted(source) or source in could])
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
        """Every plugin whose code was imported, used or not, by `distribution:name`: its version, its status, and the
        SHA-256 of its `files` (the whole of its package, data files too)."""
        return {
            source.record.key: {
                "version": source.record.version,
                "status": source.record.status,
                "files": content_digest(source.record),
            }
            for source in self._sources
            if source.record in self._attempted and source.record.unloadable is None
        }

    def clashes(self) -> list[lookup.Clash]:
        """Names claimed by several third-party plugins, as far as is known; see `inspect`."""
        return lookup.clashes(self.records)

    def inspect(self) -> None:
        """Learn about plugins that are not loaded without importing them: from the last load, else their source."""
        unattempted = [source.record for source in self._sources if source.record not in self._attempted]
        unknown = [record for record in unattempted if record.unloadable is None]
        from_user = [record for record in unknown if record.from_user]
        for record in [*from_user, *outcomes.recall([record for record in unknown if not record.from_user])]:
            inspection.inspect(record)
        lookup.warn_of_shadowing(self.records)

    def verify(self) -> None:
        """Load everything, lazily registered targets too; failures go to the records."""
        self.load(tolerant=True)
        for item in self.items():
            if item.distribution != CORE and self._registry.has(item.record):
                try:
                    _ = item.option_model
                    for warning in signature_warnings(item.kind, item.name, item.target):
                        item.record.warn(warning)
                except AttributedError as error:
                    item.record.exception = error
                    self._withdraw(item.record, f"{item.kind} {item.name!r} {error.cause}")
        self._remember(self._sources)

    def observe(self, event: Event) -> list[str]:
        """Call each plugin's `sea_observe`; return what newly failed. Who fails once is not called again."""
        failures = []
        for record, function in self._registry.functions("sea_observe", self.records):
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
        self.load_for(hook="sea_register_commands")
        functions = self._registry.functions("sea_register_commands", self.records)
        for record, error in collect_commands(group, functions, reserved):
            self._withdraw(record, error)
        self._complain(self._sources)

    @contextlib.contextmanager
    def temporarily(self, plugin: Any, name: str = "plugin") -> Iterator[PluginRecord]:
        """Have a plugin object (a module, an instance) take part within a `with` block, as `temporary:…`.

        Raises:
            PluginError: the plugin is broken.
        """
        record = PluginRecord(name, "temporary", "0", type(plugin).__name__, from_user=True)
        source = Source(record, lambda: plugin)
        self._load([source])
        self._sources.append(source)
        try:
            yield record
        finally:
            self._sources.remove(source)
            if self._registry.has(record):
                self._withdraw(record, "no longer installed")

    def _wanted(self, source: Source) -> bool:
        """Whether the user has asked for it to be loaded, whatever it provides."""
        return source.record.from_user or self.strict

    def _could(self, source: Source) -> Possible:
        record = source.record
        if record not in self._possible:
            known = examined(record)
            outcomes.recall([known])
            self._possible[record] = possible(record, known)
        return self._possible[record]

    def _load(self, chosen: list[Source], tolerant: bool = False) -> None:
        fresh = [source for source in chosen if source.record not in self._attempted]
        for source in fresh:
            self._load_one(source)
        if fresh:
            self._remember(fresh)
            lookup.warn_of_shadowing(self.records)
        if not tolerant:
            self._complain(chosen)

    def _complain(self, chosen: list[Source]) -> None:
        for source in chosen:
            if source.record.failed and (self.strict or source.record.from_user):
                raise PluginError(
                    f"{source.record.label} is {source.record.status}: {source.record.error}",
                    hint="leave it out (SEA_PLUGINS, --plugin), or repair or uninstall it",
                )

    def _load_one(self, source: Source) -> None:
        record = source.record
        self._attempted.add(record)
        record.status, record.error, record.provides = "not loaded", None, {}
        record.unlisted = []
        record.warnings = list(record.oddities)
        record.checked = f"loaded {datetime.now(UTC).isoformat(timespec='seconds')}"
        try:
            self._registry.add(record, stage(record, source.load), "ok")
        except AttributedError as error:
            record.exception = error
            self._fail(record, error.cause, "refused" if isinstance(error.__cause__, RefusedError) else "broken")
        if "sea_register_commands" in record.hooks:  # the hook runs only when a command is asked for
            record.provides |= {k: v for k, v in inspection.provided(record).items() if k == "command"}

    def _load_built_in(self, family: str) -> PluginRecord:
        record = PluginRecord(family, CORE, VERSION, f"sea_toolkit.{family}", checked="built-in")
        staged = stage(record, lambda: importlib.import_module(record.value))
        self._registry.add(record, staged, "built-in")
        return record

    def _withdraw(self, record: PluginRecord, cause: str) -> None:
        self._registry.remove(record)
        self._fail(record, cause)

    def _fail(self, record: PluginRecord, cause: str, status: Status = "broken") -> None:
        record.fail(cause, status)
        record.provides = inspection.provided(record)  # what is missed, for messages

    def _remember(self, chosen: list[Source]) -> None:
        outcomes.remember([source.record for source in chosen if not source.record.from_user])


def _trace_to_stderr() -> None:
    log.setLevel(logging.DEBUG)
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        log.addHandler(handler)
