"""Python functions that a recipe names: the user has to allow each by name, a recipe cannot."""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from sea_toolkit.errors import PluginError, RecipeError
from sea_toolkit.registry.blame import attribute_errors_to


def check_name(name: str) -> str:
    """The name, if it has the form `package.module:function`.

    Raises:
        RecipeError: it has another form.
    """
    module, _, attribute = name.partition(":")
    parts = [*module.split("."), *attribute.split(".")]
    if not all(part.isidentifier() for part in parts):
        raise RecipeError(f"{name!r} names no function", expected="package.module:function")
    return name


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
    module, _, attribute = check_name(name).partition(":")
    with attribute_errors_to(f"the function {name}", "cannot be imported"):
        function = functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
    if not callable(function):
        raise PluginError(f"{name} is a value of type {type(function).__name__}", expected="a function")
    checked: Callable[..., Any] = function
    return checked


def source_fingerprint(function: Callable[..., Any]) -> str:
    """A hash of the file that defines the function; empty for one without a file."""
    try:
        file = inspect.getsourcefile(inspect.unwrap(function))
        return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
    except (TypeError, OSError):
        return ""
