"""From the signature of a registered callable to options: listed, checked and bound.

A function's options are its keyword-only parameters (what stands before the `*` is filled by the core); a class's
options are the parameters of its constructor. pydantic does the checking, and is imported at the first check only.
"""

from __future__ import annotations

import functools
import inspect
import json
import operator
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, Union, get_args, get_origin, runtime_checkable

from sea_toolkit.docstrings import argument_docs
from sea_toolkit.errors import PluginError, RecipeError, did_you_mean

CORE_FILLED = frozenset(("response", "prompts", "texts", "logits", "noise", "progress", "step", "problem", "context"))
"""Names that the core passes by position; as keyword-only parameters they would wait for a value for ever."""

CALLED_EACH_STEP = frozenset({"energy", "relaxation"})
"""Kinds whose functions get their numbers anew before each call, so that each number may follow a schedule."""


@runtime_checkable
class ScheduleLike(Protocol):
    """What the core accepts in the place of a number: see `sea_toolkit.schedules.schedule.Schedule`."""

    def at(self, progress: float, step: int) -> float:
        """The value at `progress` in [0, 1] and at `step`."""


Number = float | ScheduleLike
"""Annotation for a constructor option that may also be a schedule; the class resolves it with `.at()`."""


@dataclass(frozen=True)
class Option:
    """One option of a registered item, ready to print.

    `default` is None for a required option. `schedulable`: a schedule may stand in the place of the number.
    """

    name: str
    type: str
    default: Any
    required: bool
    doc: str
    schedulable: bool = False


def check_signature(target: Any) -> None:
    """Refuse what could not be configured by name.

    Raises:
        PluginError: `target` is not callable, hides its parameters, or takes options by position.
    """
    if not callable(target):
        raise PluginError(f"registered {_short(target)}, which cannot be called", expected="a function or a class")
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError) as error:
        raise PluginError(f"{_short(target)} has no readable signature ({error})") from error
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise PluginError(
                f"{_short(target)} takes {parameter}, so its options cannot be listed or checked",
                expected="every option as a named parameter",
            )
        if inspect.isclass(target):
            if parameter.kind is parameter.POSITIONAL_ONLY:
                raise PluginError(f"option {parameter.name!r} of {_short(target)} cannot be given by name")
        elif parameter.kind is parameter.KEYWORD_ONLY:
            if parameter.name in CORE_FILLED:
                raise PluginError(
                    f"{parameter.name!r} of {_short(target)} is filled by the core, but stands behind the `*`",
                    hint=f"def {_name(target)}(…, {parameter.name}, *, …)",
                )
        elif parameter.default is not parameter.empty and parameter.name not in CORE_FILLED:
            raise PluginError(
                f"option {parameter.name!r} of {_short(target)} is positional",
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
            checked[name] = _checked_value(annotation, given[name], f"{where}: option {name!r}")
    return checked


def printable(annotation: Any) -> str:
    """An annotation as a person reads it: `float > 0`, `'mean' | 'last'`, `list[str]`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *extras = get_args(annotation)
        return " ".join([printable(base), *(f"{sign} {bound}" for sign, bound in _bounds(extras))])
    if origin is Literal:
        return " | ".join(repr(choice) for choice in get_args(annotation))
    if origin in (Union, types.UnionType):
        return " | ".join(printable(member) for member in get_args(annotation))
    if annotation is ScheduleLike:
        return "schedule"
    if annotation is Any:
        return "any"
    if annotation is None or annotation is type(None):
        return "none"
    if origin is None and inspect.isclass(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("collections.abc.", "")


def _bounds(extras: list[Any]) -> list[tuple[str, Any]]:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "multiple_of": "multiple of"}
    signs |= {"min_length": "length ≥", "max_length": "length ≤", "pattern": "matching"}
    parts = [part for extra in extras for part in getattr(extra, "metadata", [extra])]
    return [(sign, getattr(p, key)) for p in parts for key, sign in signs.items() if getattr(p, key, None) is not None]


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
            f"the annotation {annotation!r} of option {parameter.name!r} of {_short(target)} cannot be resolved "
            f"({type(error).__name__}: {error})",
            hint="import what it names at module level, outside TYPE_CHECKING",
        ) from error


def _schedulable(target: Any, kind: str, annotation: Any) -> bool:
    if _mentions(annotation, (ScheduleLike,)):
        return True
    return kind in CALLED_EACH_STEP and not inspect.isclass(target) and _mentions(annotation, (int, float))


def _mentions(annotation: Any, wanted: tuple[Any, ...]) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _mentions(get_args(annotation)[0], wanted)
    if origin in (Union, types.UnionType):
        return any(_mentions(member, wanted) for member in get_args(annotation))
    return any(annotation is one for one in wanted)


def _without_schedule(annotation: Any) -> Any:
    """Plain values are checked against the rest: bounds mean nothing for an object."""
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *extras = get_args(annotation)
        return Annotated.__class_getitem__((_without_schedule(base), *extras))  # type: ignore[attr-defined]
    if origin in (Union, types.UnionType):
        members = (_without_schedule(m) for m in get_args(annotation) if m is not ScheduleLike)
        return functools.reduce(operator.or_, members)
    return annotation


def _checked_schedule(target: Any, kind: str, annotation: Any, value: Any, where: str) -> Any:
    if _schedulable(target, kind, annotation):
        return value
    if _mentions(annotation, (int, float)):
        raise RecipeError(f"{where} is a schedule, but this option is fixed for a run", expected=printable(annotation))
    raise RecipeError(f"{where} is a schedule, but this option is not a number", expected=printable(annotation))


def _checked_value(annotation: Any, value: Any, where: str) -> Any:
    import pydantic

    try:
        adapter = pydantic.TypeAdapter(
            _without_schedule(annotation), config=pydantic.ConfigDict(arbitrary_types_allowed=True)
        )
    except pydantic.PydanticUserError:  # a type that brings its own configuration
        adapter = pydantic.TypeAdapter(_without_schedule(annotation))
    try:
        return adapter.validate_python(value, strict=True)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
    try:  # TOML and JSON have no tuples, paths or enums: strict JSON rules say what may stand for them
        return adapter.validate_json(json.dumps(value), strict=True)
    except (TypeError, ValueError):  # also pydantic's ValidationError, which is a ValueError
        place = "".join(f"[{key!r}]" for key in first["loc"] if isinstance(key, int))
        raise RecipeError(
            f"{where}{place} is {_short(value)}", expected=f"{printable(annotation)} ({first['msg'].lower()})"
        ) from None


def _short(value: Any) -> str:
    if inspect.isroutine(value) or inspect.isclass(value):
        return f"{_name(value)}()"
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__}"
    return f"{text if len(text) <= 80 else text[:77] + '…'} ({type(value).__name__})"


def _name(target: Callable[..., Any]) -> str:
    return getattr(target, "__name__", type(target).__name__)
