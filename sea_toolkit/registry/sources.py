"""Where plugins come from: entry points of installed distributions, and single files. Nothing is imported here."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import sys
import types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sea_toolkit.errors import PluginError, RecipeError, did_you_mean
from sea_toolkit.hookspecs import PROJECT
from sea_toolkit.registry import metadata, ownership
from sea_toolkit.registry.records import PluginRecord, normalize
from sea_toolkit.util.paths import user_path

VARIABLE = "SEA_PLUGINS"


@dataclass(eq=False)
class Source:
    """A plugin that could be loaded."""

    record: PluginRecord
    load: Callable[[], Any]


def installed() -> list[Source]:
    """The entry points of group `sea_toolkit`, sorted by distribution and name.

    What is wrong with the metadata of a distribution is in the records: a broken one for a line that is no entry point
    or an entry point that leads to another distribution's file, warnings for the rest.
    """
    pairs: list[tuple[PluginRecord, metadata.Installed]] = []
    sources: list[Source] = []
    for distribution in ownership.first_copies(metadata.installed()):
        for name, value in distribution.points:
            pairs.append((_record(distribution, name, value), distribution))
        for line in distribution.faults:
            record = _record(distribution, line.partition("=")[0].strip() or line, line.partition("=")[2].strip())
            record.rule_out(f"{line!r} in {distribution.folder / 'entry_points.txt'} is no entry point")
            sources.append(Source(record, _raiser(record.error)))
    ownership.refuse_strangers(pairs)
    for record, _ in pairs:
        point = importlib.metadata.EntryPoint(record.name, record.value, PROJECT)
        sources.append(Source(record, _raiser(record.error) if record.failed else point.load))
    return sorted(sources, key=lambda source: (source.record.distribution, source.record.name))


def _record(distribution: metadata.Installed, name: str, value: str) -> PluginRecord:
    return PluginRecord(
        name,
        distribution.name,
        distribution.version,
        value,
        warnings=list(distribution.warnings),
        oddities=distribution.warnings,
        metadata=str(distribution.folder),
        requirement=distribution.requirement,
    )


def selected(sources: Sequence[Source], plugins: Iterable[str] | None) -> tuple[list[Source], list[str]]:
    """The sources that the user wants, and the keys of those left out.

    Args:
        sources: all there are.
        plugins: names of entry points or distributions; None: what the environment variable `SEA_PLUGINS` lists
            (commas between), or all if it is not set.

    Raises:
        RecipeError: a name matches no installed plugin.
    """
    origin = "plugins"
    if plugins is None:
        if VARIABLE not in os.environ:
            return list(sources), []
        origin, plugins = VARIABLE, [part.strip() for part in os.environ[VARIABLE].split(",") if part.strip()]
    wanted = list(plugins)
    for name in wanted:
        if not any(_fits(source.record, name) for source in sources):
            known = {n for s in sources for n in (s.record.name, s.record.distribution)}
            raise RecipeError(
                f"{origin} names {name!r}, but no installed plugin or distribution is called so",
                hint=did_you_mean(name, known),
            )
    kept = [source for source in sources if any(_fits(source.record, name) for name in wanted)]
    return kept, [source.record.key for source in sources if source not in kept]


def _fits(record: PluginRecord, name: str) -> bool:
    return name in (record.name, record.key) or normalize(name) == record.distribution


def from_file(path: str | os.PathLike[str]) -> Source:
    """A plugin in a single file. Its distribution is the file's name, its version a hash of its content.

    Raises:
        RecipeError: there is no such file, or it cannot be read.
    """
    file = user_path(path, "the name of a plugin file")
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise RecipeError(
            f"the plugin file {str(path)!r} cannot be read ({error.strerror or error})",
            expected="a Python file with functions marked @sea.hookimpl",
        ) from error
    file = file.resolve()
    record = PluginRecord(file.stem, file.name, f"sha256:{digest[:12]}", str(file), file=str(file), from_user=True)
    return Source(record, lambda: _import_file(file, digest))


def _import_file(file: Path, digest: str) -> Any:
    name = f"_sea_plugin_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}_{digest[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    # Not through importlib's loaders: their bytecode cache takes two edits within a second for one.
    module = types.ModuleType(name)
    module.__file__ = str(file)
    code = compile(file.read_bytes(), str(file), "exec")
    sys.modules[name] = module  # dataclasses and annotations look their module up here
    try:
        exec(code, module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _raiser(error: str | None) -> Callable[[], Any]:
    def load() -> Any:
        raise PluginError(error or "")

    return load
