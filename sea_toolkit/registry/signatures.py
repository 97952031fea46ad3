"""The signature of a registered callable: what can be configured by name, and with which types.

A function's options are its keyword-only parameters (what stands before the `*` is filled by the core); a class's
options are the parameters of its constructor.
"""

from __future__ import annotations

import enum
import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sea_toolkit.errors import PluginError
from sea_toolkit.registry.annotations import short
from sea_toolkit.registry.forms import (
    CORE_FILLED,
    constraint_warnings,
    core_names,
    refuse_base,
    refuse_deferred,
    refuse_form,
    refuse_methods,
)


def check_signature(target: Any, kind: str) -> None:
    """Refuse a callable that cannot be configured by name, or not be called as one of its kind.

    Raises:
        PluginError: `target` is not callable, hides its parameters, takes options by position, has other parameters
            than the core fills, or has an option of a name that the recipe keeps for itself.
    """
    if not callable(target):
        raise PluginError(f"registered {short(target)}, which cannot be called", expected="a function or a class")
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError) as error:
        raise PluginError(f"{short(target)} has no readable signature ({error})") from error
    check_parameters(kind, called(target), parameters, inspect.isclass(target))
    if inspect.isclass(target):
        refuse_methods(kind, target)
        refuse_base(kind, target)
    else:
        plain = inspect.isroutine(target) or isinstance(target, functools.partial)
        refuse_deferred(called(target), target if plain else type(target).__call__)


def check_parameters(kind: str, name: str, parameters: Sequence[inspect.Parameter], of_class: bool) -> None:
    """Refuse parameters that cannot be set by name, or that the core could not fill.

    Args:
        kind: a key of `KINDS`.
        name: of the callable, for messages.
        parameters: of the function, or of the class's constructor.
        of_class: it is a class.

    Raises:
        PluginError: as `check_signature`.
    """
    written = f"def {name.removesuffix('()')}"
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise PluginError(
                f"{name} takes {parameter}, so its options cannot be listed or checked",
                expected="every option as a named parameter",
            )
        if of_class:
            if parameter.kind is parameter.POSITIONAL_ONLY:
                raise PluginError(f"option {parameter.name!r} of {name} cannot be given by name")
        elif parameter.kind is parameter.KEYWORD_ONLY:
            if parameter.name in CORE_FILLED:
                raise PluginError(
                    f"{parameter.name!r} of {name} is filled by the core, but stands after the `*`",
                    hint=f"{written}(…, {parameter.name}, *, …)",
                )
        elif parameter.default is not parameter.empty and parameter.name not in core_names(kind):
            raise PluginError(
                f"option {parameter.name!r} of {name} is positional",
                expected="options after a `*`",
                hint=f"{written}(…, *, {parameter})",
            )
    refuse_form(kind, name, parameters, of_class)


def called(target: Any) -> str:
    """What messages call a registered function or class."""
    return f"class {target.__name__}" if inspect.isclass(target) else f"{_name(target)}()"


def option_parameters(target: Any) -> dict[str, inspect.Parameter]:
    """The parameters that are options, by name and in order, each with its annotation as an object.

    The parameters that the core fills are not resolved: they may name what is imported for type checkers only.

    Raises:
        PluginError: an annotation cannot be resolved.
    """
    return {p.name: p.replace(annotation=_resolved(target, p)) for p in _chosen(target)}


def signature_warnings(kind: str, name: str, target: Any) -> list[str]:
    """Words on options that work only in part: hidden in a constraint, or without a type to check values against."""
    chosen = _chosen(target)
    warnings = constraint_warnings(kind, name, [parameter.name for parameter in chosen])
    for parameter in chosen:
        default = parameter.default
        if parameter.annotation is parameter.empty and not isinstance(default, bool | int | float | str):
            warnings.append(
                f"option {parameter.name!r} of {kind} {name!r} has no annotation, so its values cannot be checked: "
                f"annotate as {_suggested(default)}"
            )
    return warnings


def _suggested(default: Any) -> str:
    """A type for a parameter with this default."""
    if default is None or default is inspect.Parameter.empty:
        return "float, str or whatever it takes"
    if isinstance(default, dict):
        values = {type(value).__name__ for value in default.values()} or {"float"}
        return f"dict[str, {' | '.join(sorted(values))}]"
    if isinstance(default, list | set | frozenset | tuple):
        values = {type(value).__name__ for value in default} or {"str"}
        more = ", ..." if isinstance(default, tuple) else ""
        return f"{type(default).__name__}[{' | '.join(sorted(values))}{more}]"
    return type(default).__name__


def _chosen(target: Any) -> list[inspect.Parameter]:
    parameters = inspect.signature(target).parameters.values()
    return [p for p in parameters if inspect.isclass(target) or p.kind is p.KEYWORD_ONLY]


def _resolved(target: Any, parameter: inspect.Parameter) -> Any:
    annotation, default = parameter.annotation, parameter.default
    if annotation is parameter.empty:
        if isinstance(default, bool | float | str | dict | list | tuple | set | frozenset | Path | enum.Enum):
            return Path if isinstance(default, Path) else type(default)
        return int | float if isinstance(default, int) else Any
    if not isinstance(annotation, str):
        return annotation
    holder = types.SimpleNamespace(__annotations__={parameter.name: annotation})
    try:
        return typing.get_type_hints(holder, globalns=_globals(target), include_extras=True)[parameter.name]
    except Exception as error:
        raise PluginError(
            f"the annotation {annotation!r} of option {parameter.name!r} of {short(target)} cannot be resolved "
            f"({type(error).__name__}: {error})",
            hint="import what it names at module level, outside TYPE_CHECKING",
        ) from error


def _globals(target: Any) -> dict[str, Any]:
    """The names that the source of `target` can use."""
    function = inspect.unwrap(target.__init__ if inspect.isclass(target) else target)
    while isinstance(function, functools.partial):
        function = inspect.unwrap(function.func)
    if not inspect.isclass(target) and not inspect.isroutine(function):
        function = type(function).__call__
    function = inspect.unwrap(function)
    if inspect.ismethod(function):
        function = function.__func__
    return function.__globals__ if inspect.isfunction(function) else vars(sys.modules[target.__module__])


def _name(target: Callable[..., Any]) -> str:
    if isinstance(target, functools.partial):
        return _name(target.func)
    return getattr(target, "__name__", type(target).__name__)
