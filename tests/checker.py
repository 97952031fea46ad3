"""Types and shapes of every call within sea_toolkit, checked while its tests run: jaxtyping's shapes, beartype's types.

`jaxtyping.jaxtyped` binds the arguments anew at each call and checks them twice, which took two fifths of the suite's
time. `checked` stands in its place in the modules that jaxtyping's import hook rewrites. It checks the same, once: the
arguments and the result of a call in one scope of axis names, and without a scope where no array is named. What is
alike is checked once: a call whose arguments and result have the types, dtypes and shapes of an earlier one is let
through.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import random
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray, jaxtyped
from torch import Tensor

typed = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is taken where a float is expected (PEP 484)


def checked(thing: Any = None, *, typechecker: Any = None) -> Any:
    """The function with its calls checked, or the dataclass with those of its constructor.

    Args:
        thing: what the import hook found; None in `@checked(typechecker=…)`, which is how the hook writes it.
        typechecker: the hook's; `typed` is taken in any case.
    """
    if thing is None:
        return checked
    if inspect.isclass(thing):
        own = vars(thing).get("__init__")  # a written one is checked already
        if dataclasses.is_dataclass(thing) and own is not None and not hasattr(own, "__wrapped__"):
            thing.__init__ = _checked(own)
        return thing
    if isinstance(thing, classmethod | staticmethod):
        return type(thing)(_checked(thing.__func__))
    return _checked(thing)


MOST = 1000
"""Calls of one function that are remembered, by what their arguments are."""

_pick = random.Random(0).random


def _checked(function: types.FunctionType) -> Callable[..., Any]:
    if inspect.isgeneratorfunction(function):  # its body runs outside the call, and so outside a scope of the call
        return jaxtyped(function, typechecker=typed)
    known: dict[Any, set[Any]] = {}
    checks: _Checks | None = None  # made at the first call: many functions are never called

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal checks
        if checks is None:
            checks = _Checks(function)
        sign = checks.sign
        asked = (*map(sign, args), *kwargs, *map(sign, kwargs.values()))  # a sign is never a string
        answers = known.get(asked)
        if answers is None:
            result = checks.whole(*args, **kwargs)
            if len(known) == MOST:
                known.clear()
            known[asked] = {sign(result)}
            return result
        result = function(*args, **kwargs)
        answer = sign(result)
        if answer not in answers:
            checks.result(result, args, kwargs)
            answers.add(answer)
        return result

    return call


class _Checks:
    """The checks of one function.

    Attributes:
        whole: the function, its arguments and result checked.
        sign: from a value to what the checks see of it.
    """

    def __init__(self, function: types.FunctionType) -> None:
        self.hints = {name: _resolved(hint, function.__globals__) for name, hint in function.__annotations__.items()}
        # beartype reads the annotations that stand at the function: it gets a copy, for the package reads its own
        copy = types.FunctionType(
            function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
        )
        copy.__kwdefaults__ = function.__kwdefaults__
        self.whole = self._typed(copy, function)
        self.sign = _sign_of_values if any(map(_names_a_value, self.hints.values())) else _sign
        self._results: list[Any] = []
        self._returned: Callable[..., Any] | None = None
        self._function = function

    def result(self, result: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Check a result beside the arguments that it was given for."""
        if self._returned is None:
            parameters = [
                p.replace(annotation=p.empty, default=p.default if p.default is p.empty else None)
                for p in inspect.signature(self._function, follow_wrapped=False).parameters.values()
            ]
            space: dict[str, Any] = {"results": self._results}
            exec(f"def returned{inspect.Signature(parameters)}: return results[-1]", space)
            self._returned = self._typed(space["returned"], self._function)
        self._results.append(result)
        try:
            self._returned(*args, **kwargs)
        finally:
            self._results.pop()

    def _typed(self, copy: types.FunctionType, function: types.FunctionType) -> Callable[..., Any]:
        copy.__annotations__ = dict(self.hints)
        copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
        call = typed(copy)
        return _in_a_scope(call) if any(map(_names_an_array, self.hints.values())) else call


def _sign(value: Any) -> Any:
    """What the checks see of a value: its type, of arrays dtype and shape; like beartype, one element of a list."""
    kind = type(value)
    try:
        inside = _INSIDE[kind]
    except KeyError:
        inside = _INSIDE[kind] = _inside_of(kind)
    return kind if inside is None else (kind, inside(value))


_INSIDE: dict[type, Callable[[Any], Any] | None] = {}
"""From a type to what else counts of its values."""


def _inside_of(kind: type) -> Callable[[Any], Any] | None:
    if issubclass(kind, Tensor | np.ndarray):
        return lambda value: (value.dtype, value.shape)
    if issubclass(kind, type):
        return lambda value: value
    of_sequence = {list: _one, tuple: lambda value: tuple(map(_sign, value)) if len(value) <= 8 else _one(value)}
    first = dict.fromkeys((set, frozenset), lambda value: _one([*value][:1]))
    return {**of_sequence, **first, dict: lambda value: _one([*value.items()][:1])}.get(kind)


def _one(values: Sequence[Any]) -> Any:
    """One of them, any one."""
    return _sign(values[int(_pick() * len(values))]) if values else None


def _sign_of_values(value: Any) -> Any:
    """The same, where an annotation names values: `Literal["chat", "plain"]`."""
    return (type(value), value) if isinstance(value, str | int) else _sign(value)


def _names_a_value(hint: Any) -> bool:
    return typing.get_origin(hint) is typing.Literal or any(map(_names_a_value, typing.get_args(hint)))


def _in_a_scope(call: Callable[..., Any]) -> Callable[..., Any]:
    def scoped(*args: Any, **kwargs: Any) -> Any:
        with jaxtyped("context"):
            return call(*args, **kwargs)

    return scoped


def _resolved(hint: Any, names: dict[str, Any]) -> Any:
    """What an annotation means; Any if it names what is imported for type checkers alone."""

    def holder() -> None: ...

    holder.__annotations__ = {"value": hint}
    try:
        return typing.get_type_hints(holder, names, include_extras=True)["value"]
    except Exception:
        return Any


def _names_an_array(hint: Any) -> bool:
    if inspect.isclass(hint) and issubclass(hint, AbstractArray):
        return True
    return any(map(_names_an_array, typing.get_args(hint)))
