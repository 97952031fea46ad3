"""The types of options: how they are printed, what they are without a schedule, and the bounds of their numbers."""

from __future__ import annotations

import functools
import inspect
import operator
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol, Union, get_args, get_origin, runtime_checkable


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
    if _is_union(annotation):
        return " | ".join(printable(member) for member in get_args(annotation))
    if annotation is ScheduleLike:
        return "schedule"
    if annotation is Any:
        return "any"
    if annotation is None or annotation is type(None):
        return "none"
    if origin in (list, tuple, dict) and get_args(annotation):
        members = ("…" if member is ... else printable(member) for member in get_args(annotation))
        return f"{origin.__name__}[{', '.join(members)}]"
    if origin is None and inspect.isclass(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("collections.abc.", "")


def mentions(annotation: Any, wanted: tuple[Any, ...]) -> bool:
    """Whether the annotation is, or has among its alternatives, one of the wanted types."""
    if get_origin(annotation) is Annotated:
        return mentions(get_args(annotation)[0], wanted)
    if _is_union(annotation):
        return any(mentions(member, wanted) for member in get_args(annotation))
    return any(annotation is one for one in wanted)


def takes_table(annotation: Any) -> bool:
    """Whether a value may be a table that is not a schedule."""
    if get_origin(annotation) is Annotated or _is_union(annotation):
        return any(takes_table(member) for member in get_args(annotation))
    return (get_origin(annotation) or annotation) in (dict, Mapping)


def without_schedule(annotation: Any) -> Any:
    """The annotation that plain values are checked against: bounds do not apply to a schedule object."""
    if get_origin(annotation) is Annotated:
        base, *extras = get_args(annotation)
        return Annotated.__class_getitem__((without_schedule(base), *extras))
    if _is_union(annotation):
        members = (without_schedule(member) for member in get_args(annotation) if member is not ScheduleLike)
        return functools.reduce(operator.or_, members)
    return annotation


def bounded_number(annotation: Any) -> Any:
    """The number in an annotation with its bounds, as `Annotated[float, …]`; None if it has no bounds."""
    if get_origin(annotation) is Annotated:
        base, *extras = get_args(annotation)
        if mentions(base, (int, float)) and _bounds(extras):
            return Annotated.__class_getitem__((float, *extras))
        return bounded_number(base)
    if _is_union(annotation):
        return next(filter(None, map(bounded_number, get_args(annotation))), None)
    return None


def short(value: Any) -> str:
    """A value and its type on one line, for messages."""
    if inspect.isroutine(value) or inspect.isclass(value):
        return f"{value.__name__}()"
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__}"
    return f"{text if len(text) <= 80 else text[:77] + '…'} ({type(value).__name__})"


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _bounds(extras: Sequence[Any]) -> list[tuple[str, Any]]:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "multiple_of": "multiple of"}
    signs |= {"min_length": "length ≥", "max_length": "length ≤", "pattern": "matching"}
    parts = [part for extra in extras for part in getattr(extra, "metadata", [extra])]
    return [(sign, getattr(p, key)) for p in parts for key, sign in signs.items() if getattr(p, key, None) is not None]
