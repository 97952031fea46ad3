"""The types of options: how they are printed, what they are without a schedule, and the bounds of their numbers."""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import operator
import re
import sys
import types
from collections.abc import Mapping, Sequence
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    NewType,
    Protocol,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)

if TYPE_CHECKING:
    import pydantic


@runtime_checkable
class ScheduleLike(Protocol):
    """What the core accepts in the place of a number: see `sea_toolkit.schedules.base.Schedule`."""

    def at(self, progress: float, step: int) -> float:
        """The value at `progress` in [0, 1] and at `step`."""


Number = float | ScheduleLike
"""Annotation for a constructor option that may also be a schedule; the class resolves it with `.at()`."""


def printable(annotation: Any, *, fields: bool = True) -> str:
    """An annotation as a person reads it: `float > 0`, `'mean' | 'last'`, `list[str]`.

    Args:
        annotation: a type.
        fields: tell those of a table; else it is just a table.
    """
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *extras = get_args(annotation)
        return " ".join([printable(base, fields=fields), *(f"{sign} {bound}" for sign, bound in _bounds(extras))])
    if origin is Literal:
        return " | ".join(repr(choice) for choice in get_args(annotation))
    if _is_union(annotation):
        return " | ".join(printable(member, fields=fields) for member in get_args(annotation))
    if annotation is ScheduleLike:
        return "schedule"
    if annotation is Any:
        return "any"
    if annotation is None or annotation is type(None):
        return "none"
    if origin is not None and inspect.isclass(origin):
        members = [_member(member, fields) for member in get_args(annotation)]
        return f"{origin.__name__}[{', '.join(members)}]" if members else origin.__name__
    if origin is None and inspect.isclass(annotation):
        if issubclass(annotation, enum.Enum):
            return " | ".join(repr(choice.value) for choice in annotation)
        of_table = [f"{name}: {_member(kind, False)}" for name, kind in _fields(annotation).items()]
        shown = f"table of {', '.join(of_table)}" if fields else "table"
        return shown if of_table else annotation.__name__
    named = annotation.__name__ if isinstance(annotation, NewType) else str(annotation)
    return re.sub(r"\b(typing|collections\.abc|_sea_plugin_\w+|__main__)\.", "", named)


def mentions(annotation: Any, wanted: tuple[Any, ...]) -> bool:
    """Whether the annotation is, or has among its alternatives, one of the wanted types."""
    if get_origin(annotation) is Annotated:
        return mentions(get_args(annotation)[0], wanted)
    if _is_union(annotation):
        return any(mentions(member, wanted) for member in get_args(annotation))
    return any(annotation is one for one in wanted)


def takes_table(annotation: Any) -> bool:
    """Whether a value may be a table that is not a schedule: a mapping, a class of fields, or anything at all."""
    if get_origin(annotation) is Annotated or _is_union(annotation):
        return any(takes_table(member) for member in get_args(annotation))
    if isinstance(annotation, NewType):
        return takes_table(annotation.__supertype__)
    kind = get_origin(annotation) or annotation
    return kind is Any or (inspect.isclass(kind) and (issubclass(kind, Mapping) or bool(_fields(kind))))


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


def _member(annotation: Any, fields: bool) -> str:
    """A part of another type."""
    if annotation is ...:
        return "…"
    if isinstance(annotation, list):  # the parameters of a callable
        return f"[{', '.join(_member(part, fields) for part in annotation)}]"
    return annotation if isinstance(annotation, str) else printable(annotation, fields=fields)


def _fields(kind: type) -> dict[str, Any]:
    """The fields of a dataclass, a pydantic model, a `TypedDict` or a `NamedTuple`, with their types; else none."""
    model = model_class()
    if model is not None and issubclass(kind, model):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    if dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind) if field.init]
    elif "__required_keys__" in vars(kind):  # a TypedDict
        names = sorted({*vars(kind)["__required_keys__"], *vars(kind)["__optional_keys__"]})
    elif issubclass(kind, tuple) and "_fields" in vars(kind):
        names = list(vars(kind)["_fields"])
    else:
        return {}
    try:
        types_of = get_type_hints(kind)
    except Exception:  # a name for type checkers only
        types_of = {}
    return {name: types_of.get(name, Any) for name in names}


def model_class() -> type[pydantic.BaseModel] | None:
    """The base class of pydantic's models; None if nobody has imported it, and then no class derives from it."""
    module = sys.modules.get("pydantic")
    return None if module is None else module.BaseModel


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _bounds(extras: Sequence[Any]) -> list[tuple[str, Any]]:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "multiple_of": "multiple of"}
    signs |= {"min_length": "length ≥", "max_length": "length ≤", "pattern": "matching"}
    parts = [part for extra in extras for part in getattr(extra, "metadata", [extra])]
    return [(sign, getattr(p, key)) for p in parts for key, sign in signs.items() if getattr(p, key, None) is not None]
