"""A base class whose subclasses declare what they are: what is missing, misspelt or of the wrong kind is an error when
the class is made rather than in the middle of a run."""

from __future__ import annotations

import difflib
import functools
import inspect
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, ClassVar, get_args, get_origin

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from sea_toolkit.errors import PluginError

CLOSE = 0.85
"""Similarity from which on an unknown name counts as a misspelling of a declared one."""


def check_declared(cls: type, base: type, required: Iterable[str]) -> None:
    """Check what a subclass declares; to be called from `base.__init_subclass__`.

    Args:
        cls: the new class.
        base: declares names by annotations, values and methods; those of its public names are the declared ones.
        required: names that `cls`, or a class between it and `base`, has to define.

    Raises:
        PluginError: a required name is missing, a declared value has another type than its annotation in `base`, a
            method is something else, or a public name is a near miss of a declared one that the class leaves alone.
    """
    own = {name for between in _between(cls, base) for name in _names(between)}
    declared = _names(base) | set(required)
    for name in sorted(_names(cls) - declared):
        # a method beside an inherited one (steps, where step is there) is a helper; a value overrides or does nothing
        taken = own if callable(vars(cls).get(name)) else _names(cls)
        match = difflib.get_close_matches(name, declared - taken, n=1, cutoff=CLOSE)
        if match:
            raise PluginError(
                f"class {class_path(cls)} has {name!r}, which nothing reads",
                hint=f"did you mean {match[0]!r}? If not, give it another name, or one that begins with _",
            )
    missing = [name for name in required if name not in own or not _defined(cls, name)]
    if missing:
        raise PluginError(
            f"class {class_path(cls)} does not define {', '.join(missing)}",
            expected=f"what every {base.__name__} has: {', '.join(required)}",
        )
    for name in sorted(own & declared):
        _check_value(cls, base, name)


def _between(cls: type, base: type) -> Iterator[type]:
    """The class and those above it, mixed-in ones too, without `base` and what `base` derives from."""
    return (c for c in cls.__mro__ if c not in base.__mro__)


def _names(cls: type) -> set[str]:
    return {name for name in [*vars(cls), *vars(cls).get("__annotations__", {})] if not name.startswith("_")}


def _defined(cls: type, name: str) -> bool:
    value = inspect.getattr_static(cls, name, None)
    return value is not None and not getattr(value, "__isabstractmethod__", False)


def _check_value(cls: type, base: type, name: str) -> None:
    value = inspect.getattr_static(cls, name, inspect.Parameter.empty)
    if name not in _types(base):
        _check_method(cls, base, name, value)
        return
    kind, of_class, validate = _types(base)[name]
    if value is inspect.Parameter.empty or (isinstance(value, property) and not of_class):
        return  # the constructor sets it, or an instance computes it
    try:
        validate(value, strict=True)
    except ValidationError as error:
        raise PluginError(
            f"{name} of class {class_path(cls)} is {value!r}", expected=_printed(kind), hint=_hint(error)
        ) from error


def _check_method(cls: type, base: type, name: str, value: Any) -> None:
    declared = inspect.getattr_static(base, name, None)
    if not callable(declared):
        return
    if not (callable(value) or isinstance(value, staticmethod | classmethod)):
        raise PluginError(
            f"{name} of class {class_path(cls)} is {value!r}", expected=f"a method, as in {base.__name__}"
        )
    if inspect.isfunction(declared) and inspect.isfunction(value):
        passed = list(inspect.signature(declared).parameters)
        try:
            inspect.signature(value).bind(*passed)
        except TypeError:
            raise PluginError(
                f"{name} of class {class_path(cls)} takes {inspect.signature(value)}",
                expected=f"def {name}({', '.join(passed)})",
            ) from None


@functools.lru_cache(maxsize=16)
def _types(base: type) -> dict[str, tuple[Any, bool, Callable[..., Any]]]:
    """Of each declared value: its annotation, whether it is the class's (`ClassVar`), and the check."""
    types = {}
    for name, hint in typing.get_type_hints(base, include_extras=True).items():
        of_class = get_origin(hint) is ClassVar
        kind = get_args(hint)[0] if of_class else hint
        types[name] = (kind, of_class, _validator(kind))
    return types


def _validator(kind: Any) -> Callable[..., Any]:
    try:
        return TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True)).validate_python
    except PydanticUserError:  # a dataclass or a model has a configuration of its own
        return TypeAdapter(kind).validate_python


def _printed(kind: Any) -> str:
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if isinstance(kind, type):
        return kind.__name__
    if get_origin(kind) is typing.Literal:
        return "one of " + ", ".join(repr(a) for a in get_args(kind))
    return str(kind).replace("typing.", "").replace("collections.abc.", "")


def _hint(error: ValidationError) -> str | None:
    details = error.errors()
    return details[0]["msg"] if len(details) == 1 else None


def class_path(cls: type) -> str:
    """Module and name of a class, for messages; a plugin in a single file has a made-up module, which says nothing."""
    return cls.__qualname__ if cls.__module__.startswith("_sea_plugin_") else f"{cls.__module__}.{cls.__qualname__}"
