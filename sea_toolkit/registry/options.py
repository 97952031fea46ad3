"""From the signature of a registered callable to options: listed, checked and bound.

A function's options are its keyword-only parameters (what stands before the `*` is filled by the core); a class's
options are the parameters of its constructor.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from sea_toolkit.errors import PluginError, RecipeError, did_you_mean
from sea_toolkit.registry.annotations import (
    Number,
    ScheduleLike,
    checked_value,
    mentions,
    printable,
    short,
)
from sea_toolkit.registry.docstrings import argument_docs

__all__ = [
    "CALLED_EACH_STEP", "CORE_FILLED", "Number", "Option", "ScheduleLike", "check_signature", "checked_options",
    "options_of", "printable",
]  # fmt: skip

CORE_FILLED = frozenset(("response", "prompts", "texts", "logits", "noise", "progress", "step", "problem", "context"))
"""Names that the core passes by position; as keyword-only parameters they would wait for a value for ever."""

CALLED_EACH_STEP = frozenset({"energy", "relaxation"})
"""Kinds whose functions get their numbers anew before each call, so that each number may follow a schedule."""


@dataclass(frozen=True)
class Option:
    """One option of a registered item, ready to print.

    `default` is None for a required option. `schedulable`: a schedule may stand in the place of the number. `table`: it
    takes a table of its own, which is no schedule.
    """

    name: str
    type: str
    default: Any
    required: bool
    doc: str
    schedulable: bool = False
    table: bool = False


def check_signature(target: Any) -> None:
    """Refuse what could not be configured by name.

    Raises:
        PluginError: `target` is not callable, hides its parameters, or takes options by position.
    """
    if not callable(target):
        raise PluginError(f"registered {short(target)}, which cannot be called", expected="a function or a class")
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError) as error:
        raise PluginError(f"{short(target)} has no readable signature ({error})") from error
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise PluginError(
                f"{short(target)} takes {parameter}, so its options cannot be listed or checked",
                expected="every option as a named parameter",
            )
        if inspect.isclass(target):
            if parameter.kind is parameter.POSITIONAL_ONLY:
                raise PluginError(f"option {parameter.name!r} of {short(target)} cannot be given by name")
        elif parameter.kind is parameter.KEYWORD_ONLY:
            if parameter.name in CORE_FILLED:
                raise PluginError(
                    f"{parameter.name!r} of {short(target)} is filled by the core, but stands behind the `*`",
                    hint=f"def {_name(target)}(…, {parameter.name}, *, …)",
                )
        elif parameter.default is not parameter.empty and parameter.name not in CORE_FILLED:
            raise PluginError(
                f"option {parameter.name!r} of {short(target)} is positional",
                expected="options behind a `*`",
                hint=f"def {_name(target)}(…, *, {parameter})",
            )


def options_of(target: Any, kind: str) -> list[Option]:
    """The options of a registered callable, in the order of its signature."""
    docs = argument_docs(target)
    found = []
    for name, parameter in _parameters(target).items():
        annotation = _annotation(target, parameter)
        required = parameter.default is parameter.empty
        found.append(
            Option(
                name=name,
                type=printable(annotation),
                default=None if required else parameter.default,
                required=required,
                doc=docs.get(name, ""),
                schedulable=_schedulable(target, kind, annotation),
                table=_takes_table(annotation),
            )
        )
    return found


def checked_options(target: Any, kind: str, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`given` checked against the signature of `target`, with the defaults filled in.

    Args:
        target: a registered function or class.
        kind: its item kind; it decides whether a number may be a schedule.
        given: option name to value, as a recipe or a caller gave them.
        where: what to call the place in messages, such as `energies[1] (reward)`.

    Raises:
        RecipeError: unknown or missing options, a value of the wrong type, a schedule where none can be.
    """
    parameters = _parameters(target)
    for name in given:
        if name not in parameters:
            raise RecipeError(f"{where}: unknown option {name!r}", hint=did_you_mean(str(name), parameters))
    missing = [n for n, p in parameters.items() if p.default is p.empty and n not in given]
    if missing:
        listed = ", ".join(f"{n} ({printable(_annotation(target, parameters[n]))})" for n in missing)
        raise RecipeError(
            f"{where}: missing option{'s' if len(missing) > 1 else ''} {listed}",
            expected="a value for each option without a default",
        )
    checked = {}
    for name, parameter in parameters.items():
        if name not in given:
            checked[name] = parameter.default
            continue
        annotation = _annotation(target, parameter)
        if isinstance(given[name], ScheduleLike):
            checked[name] = _checked_schedule(target, kind, annotation, given[name], f"{where}: option {name!r}")
        else:
            checked[name] = checked_value(annotation, given[name], f"{where}: option {name!r}")
    return checked


def _parameters(target: Any) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(target).parameters
    if inspect.isclass(target):
        return dict(parameters)
    return {name: p for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def _annotation(target: Any, parameter: inspect.Parameter) -> Any:
    annotation, default = parameter.annotation, parameter.default
    if annotation is parameter.empty:
        if isinstance(default, bool | float | str):
            return type(default)
        return int | float if isinstance(default, int) else Any
    if not isinstance(annotation, str):
        return annotation
    function = inspect.unwrap(target.__init__ if inspect.isclass(target) else target)
    function = getattr(function, "func", function)  # a partial
    if not inspect.isclass(target) and not inspect.isroutine(function):
        function = type(function).__call__
    names = getattr(function, "__globals__", None) or vars(sys.modules[target.__module__])
    try:
        return eval(annotation, dict(names))  # the plugin's own source text, already running in this process
    except Exception as error:
        raise PluginError(
            f"the annotation {annotation!r} of option {parameter.name!r} of {short(target)} cannot be resolved "
            f"({type(error).__name__}: {error})",
            hint="import what it names at module level, outside TYPE_CHECKING",
        ) from error


def _schedulable(target: Any, kind: str, annotation: Any) -> bool:
    if mentions(annotation, (ScheduleLike,)):
        return True
    return kind in CALLED_EACH_STEP and not inspect.isclass(target) and mentions(annotation, (int, float))


def _takes_table(annotation: Any) -> bool:
    if get_origin(annotation) in (Annotated, Union, types.UnionType):
        return any(_takes_table(member) for member in get_args(annotation))
    return (get_origin(annotation) or annotation) in (dict, Mapping)


def _checked_schedule(target: Any, kind: str, annotation: Any, value: Any, where: str) -> Any:
    if _schedulable(target, kind, annotation):
        return value
    if mentions(annotation, (int, float)):
        raise RecipeError(f"{where} is a schedule, but this option is fixed for a run", expected=printable(annotation))
    raise RecipeError(f"{where} is a schedule, but this option is not a number", expected=printable(annotation))


def _name(target: Callable[..., Any]) -> str:
    return getattr(target, "__name__", type(target).__name__)
