"""The code of a plugin, as files and as a hash: whether it is the same as before, whatever its version says."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path

from sea_toolkit.registry.records import PluginRecord
from sea_toolkit.registry.static.locate import MissingModuleError, find_spec, module_of

_NO_CODE = {".pyc", ".pyo", ".dist-info", ".egg-info"}


def code_digest(record: PluginRecord) -> str | None:
    """SHA-256 over names and content of a plugin's files, data files included; None for an object without a file."""
    files = code_files(record)
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        try:
            content = path.read_bytes()
        except OSError:
            continue
        digest.update(f"{len(name.encode())} {name} {len(content)} ".encode() + content)
    return digest.hexdigest() if files else None


def code_files(record: PluginRecord) -> dict[str, Path]:
    """A plugin's files, by name: its one file, what its wheel has installed, or, of an editable install, all of its
    top-level package."""
    if record.from_user:
        return {} if record.file is None else {Path(record.file).name: Path(record.file)}
    return _installed(record) or _package(record)


def _installed(record: PluginRecord) -> dict[str, Path]:
    """What RECORD lists; nothing if there is no code among it, as of an editable install."""
    try:
        listed = importlib.metadata.files(record.distribution) or []
    except (importlib.metadata.PackageNotFoundError, OSError, ValueError):
        return {}
    own = [
        file
        for file in listed
        if not any(Path(part).suffix in _NO_CODE for part in file.parts) and ".." not in file.parts
    ]
    files = {str(file): Path(str(file.locate())) for file in own}
    files = {name: path for name, path in files.items() if path.is_file()}
    top = module_of(record.value).partition(".")[0]
    return files if any(name.split("/")[0] in (top, f"{top}.py") for name in files) else {}


def _package(record: PluginRecord) -> dict[str, Path]:
    """The files of the top-level package, or the file of a single module."""
    try:
        spec = find_spec(module_of(record.value).partition(".")[0])
    except MissingModuleError:
        return {}
    if spec is None:
        return {}
    files: dict[str, Path] = {}
    for place in spec.submodule_search_locations or []:
        folder = Path(place)
        found = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in _NO_CODE)
        files |= {path.relative_to(folder.parent).as_posix(): path for path in found}
    if not files and spec.has_location and spec.origin:
        files[Path(spec.origin).name] = Path(spec.origin)
    return files
