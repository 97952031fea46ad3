"""Loading plugins, each under its own guard, and judging beforehand which of them could matter."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from sea_toolkit.errors import PluginError
from sea_toolkit.registry import lookup, outcomes
from sea_toolkit.registry.blame import AttributedError
from sea_toolkit.registry.records import CORE, PluginRecord, Status
from sea_toolkit.registry.registered import Registry
from sea_toolkit.registry.sources import Source
from sea_toolkit.registry.staging import RefusedError, stage
from sea_toolkit.registry.static import inspection
from sea_toolkit.registry.static.files import content_digest
from sea_toolkit.registry.static.inspection import examined
from sea_toolkit.registry.static.possible import Possible, possible
from sea_toolkit.util.process_wide import ONE_AT_A_TIME
from sea_toolkit.util.version import VERSION

BUILT_IN = ("energies", "relaxations", "schedules", "samplers", "initializers", "models", "recipes", "engines")
"""The family packages; each registers through the same hooks as any plugin, with targets imported at first use."""


class Loader:
    """The plugins of a hub, loaded or not; the built-in families are loaded when it is made.

    Args:
        sources: of the others.
        strict: any broken plugin is an error.

    Attributes:
        registry: what is registered.
        attempted: who was loaded, or could not be.
    """

    def __init__(self, sources: Iterable[Source], *, strict: bool) -> None:
        self.sources, self.strict = list(sources), strict
        self.registry = Registry()
        self.attempted: set[PluginRecord] = set()
        self._possible: dict[PluginRecord, Possible] = {}
        self._built_in = [self._load_built_in(family) for family in BUILT_IN]

    @property
    def records(self) -> list[PluginRecord]:
        """One for each plugin: the built-in families, then the sources'."""
        return [*self._built_in, *(source.record for source in self.sources)]

    def choose(self, matters: Callable[[Possible], bool]) -> list[Source]:
        """The plugins that could matter, and those that the user has asked for whatever they provide.

        Args:
            matters: judges what a plugin could register and implement.
        """
        return [s for s in self.sources if s.record.from_user or self.strict or matters(self._could(s.record))]

    def _could(self, record: PluginRecord) -> Possible:
        if record not in self._possible:
            known = examined(record)
            outcomes.recall([known])
            self._possible[record] = possible(record, known)
        return self._possible[record]

    def load(self, chosen: list[Source], tolerant: bool = False) -> None:
        """Load those of the chosen that are not loaded yet.

        Raises:
            PluginError: as `complain`, unless `tolerant`.
        """
        with ONE_AT_A_TIME:  # who asks in another thread waits until it is registered
            fresh = [source for source in chosen if source.record not in self.attempted]
            for source in fresh:
                self._load_one(source)
        if fresh:
            self.remember(fresh)
            lookup.warn_of_shadowing(self.records)
        if not tolerant:
            self.complain(chosen)

    def complain(self, chosen: list[Source]) -> None:
        """Let a broken plugin among the chosen be an error if the user wants it to be, or named its file.

        Raises:
            PluginError: there is one.
        """
        for source in chosen:
            if source.record.failed and (self.strict or source.record.from_user):
                raise PluginError(
                    f"{source.record.label} is {source.record.status}: {source.record.error}",
                    hint="leave it out (SEA_PLUGINS, --plugin), or repair or uninstall it",
                )

    def _load_one(self, source: Source) -> None:
        record = source.record
        self.attempted.add(record)
        record.status, record.error, record.provides = "not loaded", None, {}
        record.unlisted = []
        record.warnings = list(record.oddities)
        record.checked = f"loaded {datetime.now(UTC).isoformat(timespec='seconds')}"
        try:
            self.registry.add(record, stage(record, source.load), "ok")
        except AttributedError as error:
            record.exception = error
            self._fail(record, error.cause, "refused" if isinstance(error.__cause__, RefusedError) else "broken")
        if "sea_register_commands" in record.hooks:  # the hook runs only when a command is asked for
            record.provides |= {k: v for k, v in inspection.provided(record).items() if k == "command"}

    def _load_built_in(self, family: str) -> PluginRecord:
        record = PluginRecord(family, CORE, VERSION, f"sea_toolkit.{family}", checked="built-in")
        staged = stage(record, lambda: importlib.import_module(record.value))
        self.registry.add(record, staged, "built-in")
        return record

    def withdraw(self, record: PluginRecord, cause: str) -> None:
        """Take out a plugin that turned out to be broken."""
        self.registry.remove(record)
        self._fail(record, cause)

    def _fail(self, record: PluginRecord, cause: str, status: Status = "broken") -> None:
        record.fail(cause, status)
        record.provides = inspection.provided(record)  # what is missed, for messages

    def remember(self, chosen: list[Source]) -> None:
        """Keep the outcomes for the lists to come."""
        outcomes.remember([source.record for source in chosen if not source.record.from_user])

    def loaded(self) -> dict[str, dict[str, str]]:
        """Every plugin whose code was imported, used or not, by `distribution:name`: its version, its status, and the
        SHA-256 of its `files` (the whole of its package, data files too)."""
        return {
            source.record.key: {
                "version": source.record.version,
                "status": source.record.status,
                "files": content_digest(source.record),
            }
            for source in self.sources
            if source.record in self.attempted and source.record.unloadable is None
        }
