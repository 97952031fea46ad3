"""Python functions that a recipe names: the user has to allow each by name, a recipe cannot."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from sea_toolkit.errors import PluginError, RecipeError
from sea_toolkit.registry.blame import attribute_errors_to
from sea_toolkit.util.paths import user_path


def check_name(name: str) -> str:
    """The name, if it has the form `package.module:function` or `path/to/file.py:function`.

    Raises:
        RecipeError: it has another form.
    """
    if not names_function(name):
        raise RecipeError(
            f"{name!r} names no function", expected="package.module:function, or path/to/file.py:function"
        )
    return name


def names_function(name: str) -> bool:
    """Whether it has one of these forms."""
    module, colon, attribute = name.rpartition(":")
    dotted = module.endswith(".py") or all(part.isidentifier() for part in module.split("."))
    return bool(colon) and dotted and all(part.isidentifier() for part in attribute.split("."))


def refuse_unless_allowed(code: Iterable[str], allowed: Collection[str], where: str) -> None:
    """Refuse functions that the user has not allowed.

    Raises:
        RecipeError: one of `code` is not in `allowed`.
    """
    for name in code:
        if name not in allowed:
            raise RecipeError(
                f"{where} would run the Python function {name}, which is not allowed",
                expected="a function that you allow by name: a recipe contains no code, and cannot allow any",
                hint=f'--allow-code {name}, or allow_code=["{name}"] in Python',
            )


def load_code(name: str) -> Callable[..., Any]:
    """Import the function.

    Raises:
        PluginError: it cannot be imported, or called.
    """
    module, _, attribute = check_name(name).rpartition(":")
    with attribute_errors_to(f"the function {name}", "cannot be imported", user_errors_pass=True):
        where = _module_of_file(module) if module.endswith(".py") else importlib.import_module(module)
        function = functools.reduce(getattr, attribute.split("."), where)
    if not callable(function):
        raise PluginError(f"{name} is a value of type {type(function).__name__}", expected="a function")
    checked: Callable[..., Any] = function
    return checked


def _module_of_file(text: str) -> ModuleType:
    """The module that a file holds. It is run once, and again after it was changed; its neighbors are not importable by
    its being there.

    Raises:
        PluginError: there is no such file.
    """
    path = user_path(text, "the file of a function").absolute()
    if not path.is_file():
        raise PluginError(f"there is no file {path}", expected="FILE.py:FUNCTION")
    name = f"sea_file_{hashlib.sha256(str(path).encode() + path.read_bytes()).hexdigest()[:16]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)  # its dataclasses look it up
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def source_fingerprint(function: Callable[..., Any]) -> str:
    """A hash of the file that defines the function; empty for one without a file."""
    try:
        file = inspect.getsourcefile(inspect.unwrap(function))
        return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
    except (TypeError, OSError):
        return ""
