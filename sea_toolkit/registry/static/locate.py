"""Finding a module's source file without importing anything, not even the parents of a dotted name."""

from __future__ import annotations

import importlib.util
import sys
import zipimport
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path


class MissingModuleError(Exception):
    """The module certainly does not exist; the message is Python's own."""


def find_spec(name: str) -> ModuleSpec | None:
    """The spec of a module, by looking at files only.

    Returns:
        None if it is undecidable (a module made at run time, an unusual finder).

    Raises:
        MissingModuleError: it does not exist.
    """
    if name in sys.modules:
        return getattr(sys.modules[name], "__spec__", None)
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None:
        raise MissingModuleError(f"No module named {top!r}")
    path = top
    for part in rest:
        locations = spec.submodule_search_locations
        if locations is None:
            if _makes_modules(spec):
                return None
            raise MissingModuleError(f"No module named {path + '.' + part!r}; {path!r} is not a package")
        path = f"{path}.{part}"
        loaded = sys.modules.get(path)
        child = getattr(loaded, "__spec__", None) if loaded else PathFinder.find_spec(path, list(locations))
        if child is None:
            if _makes_modules(spec):
                return None
            raise MissingModuleError(f"No module named {path!r}")
        spec = child
    return spec


def locate(value: str) -> Path | None:
    """The source file of an entry point's value `package.module:attribute`, or None if there is none to read."""
    try:
        return source_file(find_spec(module_of(value)))
    except MissingModuleError:
        return None


def origin_of(value: str) -> str | None:
    """Where the module of an entry point's value lies: a source, bytecode, an extension, or a place in a zip file."""
    try:
        spec = find_spec(module_of(value))
    except MissingModuleError:
        return None
    return spec.origin if spec is not None and spec.has_location else None


def source_text(module: str) -> str | None:
    """The source of a module in a zip file, or None."""
    try:
        spec = find_spec(module)
        loader = None if spec is None else spec.loader
        return loader.get_source(module) if isinstance(loader, zipimport.zipimporter) else None
    except (MissingModuleError, ImportError, ValueError):
        return None


def module_of(value: str) -> str:
    """The module of an entry point's value `package.module:attribute [extra]`."""
    return value.partition("[")[0].partition(":")[0].strip()


def source_file(spec: ModuleSpec | None) -> Path | None:
    """The Python source that a spec points at, if it is a readable file."""
    if spec is None or not spec.has_location or not spec.origin or not spec.origin.endswith(".py"):
        return None
    file = Path(spec.origin)
    return file if file.is_file() else None


def _makes_modules(spec: ModuleSpec) -> bool:
    """Whether a module may add submodules while it runs, as `six.moves` does."""
    file = source_file(spec)
    if file is None:
        return not (spec.submodule_search_locations and spec.origin is None)
    text = file.read_bytes()
    return any(word in text for word in (b"sys.modules", b"__path__", b"ModuleType"))
