"""Option types: how they print, where a schedule may stand, and checking a value against one.

pydantic does the checking, and is imported at the first check only.
"""

from __future__ import annotations

import functools
import inspect
import json
import operator
import types
from typing import Annotated, Any, Literal, Protocol, Union, get_args, get_origin, runtime_checkable

from sea_toolkit.errors import RecipeError


@runtime_checkable
class ScheduleLike(Protocol):
    """What the core accepts in the place of a number: see `sea_toolkit.schedules.base.Schedule`."""

    def at(self, progress: float, step: int) -> float:
        """The value at `progress` in [0, 1] and at `step`."""


Number = float | ScheduleLike
"""Annotation for a constructor option that may also be a schedule; the class resolves it with `.at()`."""


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


def mentions(annotation: Any, wanted: tuple[Any, ...]) -> bool:
    """Whether the annotation is, or has among its alternatives, one of the wanted types."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return mentions(get_args(annotation)[0], wanted)
    if origin in (Union, types.UnionType):
        return any(mentions(member, wanted) for member in get_args(annotation))
    return any(annotation is one for one in wanted)


def checked_value(annotation: Any, value: Any, where: str) -> Any:
    """The value as the annotation has it: strict, but with the stand-ins that TOML and JSON need.

    Raises:
        RecipeError: it does not fit; the message starts with `where`.
    """
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
            f"{where}{place} is {short(value)}", expected=f"{printable(annotation)} ({first['msg'].lower()})"
        ) from None


def short(value: Any) -> str:
    """A value and its type on one line, for messages."""
    if inspect.isroutine(value) or inspect.isclass(value):
        return f"{value.__name__}()"
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__}"
    return f"{text if len(text) <= 80 else text[:77] + '…'} ({type(value).__name__})"


def _bounds(extras: list[Any]) -> list[tuple[str, Any]]:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "multiple_of": "multiple of"}
    signs |= {"min_length": "length ≥", "max_length": "length ≤", "pattern": "matching"}
    parts = [part for extra in extras for part in getattr(extra, "metadata", [extra])]
    return [(sign, getattr(p, key)) for p in parts for key, sign in signs.items() if getattr(p, key, None) is not None]


def _without_schedule(annotation: Any) -> Any:
    """Plain values are checked against the rest: bounds mean nothing for an object."""
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *extras = get_args(annotation)
        return Annotated.__class_getitem__((_without_schedule(base), *extras))
    if origin in (Union, types.UnionType):
        members = (_without_schedule(m) for m in get_args(annotation) if m is not ScheduleLike)
        return functools.reduce(operator.or_, members)
    return annotation
