"""Which hooks a plugin's code names, wherever it does: in its sources, in bytecode, in a zip file."""

from __future__ import annotations

import ast
import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

from sea_toolkit.registry.hookcheck import SIGNATURES
from sea_toolkit.registry.records import PluginRecord
from sea_toolkit.registry.static.files import files_of

_BINARY = (".pyc", ".so", ".pyd")
_ARCHIVES = (".zip", ".whl", ".egg")
_TWICE = 2
"""Stands for "more than once": what else is done with a name is not known."""


def mentions(record: PluginRecord) -> dict[str, int] | None:
    """How often the plugin's code names each hook, comments and docstrings aside; None if no code can be read."""
    counts: dict[str, int] = {}
    readable = False
    for file in files_of(record):
        for name, content in _code(file):
            readable = True
            for hook, count in _counted(name, content).items():
                counts[hook] = counts.get(hook, 0) + count
    return counts if readable else None


def _code(file: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each piece of code in a file."""
    with contextlib.suppress(OSError, zipfile.BadZipFile, RuntimeError):
        if file.suffix == ".py" or file.suffix in _BINARY:
            yield file.name, file.read_bytes()
        elif file.suffix in _ARCHIVES or zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                for name in archive.namelist():
                    if name.endswith((".py", ".pyc")):
                        yield name, archive.read(name)


def _counted(name: str, content: bytes) -> dict[str, int]:
    named = [hook for hook in SIGNATURES if hook.encode() in content]
    if not named:
        return {}
    if name.endswith(_BINARY):
        return dict.fromkeys(named, _TWICE)  # names are in it as they are
    try:
        words = [word for node in ast.walk(ast.parse(content)) for word in _words(node)]
    except (SyntaxError, ValueError, RecursionError):
        return dict.fromkeys(named, _TWICE)
    return {hook: words.count(hook) for hook in named if hook in words}


def _words(node: ast.AST) -> list[str]:
    """The names and texts that one node of a syntax tree consists of."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.Name():
            return [node.id]
        case ast.Attribute():
            return [node.attr]
        case ast.alias():
            return [node.name.rpartition(".")[2], node.asname or ""]
        case ast.Constant(value=str(text)):
            return [text]
    return []
