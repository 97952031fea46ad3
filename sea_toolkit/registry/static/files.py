"""The files that a plugin is made of, data files among them, found without importing it."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

from sea_toolkit.registry.records import PluginRecord
from sea_toolkit.registry.static.locate import MissingModuleError, find_spec, module_of

MOST = 5000
"""Files looked at per plugin: the rest of a package that is larger is taken as unchanged."""

LARGE = 32 * 1024 * 1024
"""Bytes from which on a file's size and both ends stand for its content: weights may be many gigabytes."""

_END = 1024 * 1024
_NO_PART = frozenset({"__pycache__", "node_modules", "site-packages", "build", "dist"})


def files_of(record: PluginRecord) -> list[Path]:
    """Every file of a plugin: its top-level package, its distribution's list of files, or its one file; sorted.

    Bytecode that Python derives from a source, and what belongs to the metadata, do not count.
    """
    if record.from_user:
        return [Path(record.file)] if record.file else []
    found = {*_of_package(record), *_recorded(record)}
    return sorted(found)[:MOST]


def stamps(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Path, time of change and size of each file that is there: enough to see that one has changed."""
    told = []
    for path in files:
        try:
            stat = path.stat()
        except OSError:
            continue
        told.append((str(path), stat.st_mtime_ns, stat.st_size))
    return told


def content_digest(record: PluginRecord) -> str:
    """SHA-256 over the names and contents of a plugin's files; the same on another machine with the same files."""
    files = files_of(record)
    root = os.path.commonpath([path.parent for path in files]) if files else ""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{os.path.relpath(path, root)}\0".encode())
        digest.update(_content(path))
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    """The SHA-256 of a file; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= LARGE:
                return hashlib.sha256(file.read()).digest()
            ends = hashlib.sha256(str(size).encode() + file.read(_END))
            file.seek(-_END, os.SEEK_END)
            ends.update(file.read())
            return ends.digest()
    except OSError:
        return b""


def _of_package(record: PluginRecord) -> Iterator[Path]:
    name = ""
    for part in module_of(record.value).split("."):
        name = f"{name}.{part}" if name else part
        try:
            spec = find_spec(name)
        except (MissingModuleError, ValueError):
            return
        if spec is None:
            return
        if spec.origin is not None and spec.has_location:  # a namespace belongs to many, a package in it to one
            yield from _of_spec(spec)
            return


def _of_spec(spec: ModuleSpec) -> Iterator[Path]:
    archive = archive_of(spec)
    origin = Path(spec.origin or "")
    if archive is not None:
        yield archive
    elif spec.submodule_search_locations is not None:
        yield from _below(origin.parent)
    else:
        yield origin
        if not _is_site(origin.parent):  # an editable module: what lies beside it is part of the project
            yield from (entry for entry in _entries(origin.parent) if entry.is_file())


def archive_of(spec: ModuleSpec) -> Path | None:
    """The zip file that a module lies in, or None."""
    inside = Path(spec.origin or "")
    if not spec.has_location or inside.exists():
        return None
    return next((parent for parent in inside.parents if parent.is_file()), None)


def _below(folder: Path) -> Iterator[Path]:
    count = 0
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _NO_PART and not name.startswith("."))
        for name in sorted(names):
            yield Path(parent, name)
            count += 1
            if count >= MOST:
                return


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:
        return []


def _is_site(folder: Path) -> bool:
    """Whether distributions are installed here, so that a neighbour is somebody else's."""
    return any(entry.suffix == ".dist-info" for entry in _entries(folder))


def _recorded(record: PluginRecord) -> Iterator[Path]:
    """What the distribution's RECORD lists, its metadata and scripts outside of the folder left out."""
    if record.metadata is None:
        return
    info = Path(record.metadata)
    for name in recorded_hashes(info):
        parts = Path(name).parts
        if parts and not name.endswith((".pyc", ".pth")) and parts[0] not in ("..", info.name) and not info.is_file():
            yield info.parent / name


def recorded_hashes(info: Path) -> dict[str, str]:
    """Of a `.dist-info` folder's RECORD: path, relative to the folder beside it, to the hash that it states."""
    try:
        text = (info / "RECORD").read_text(encoding="utf-8", errors="replace")
        return {row[0]: row[1] if len(row) > 1 else "" for row in csv.reader(text.splitlines()) if row}
    except (OSError, csv.Error):
        return {}
