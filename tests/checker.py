"""Types and shapes of every call within sea_toolkit, checked while its tests run: jaxtyping's shapes, beartype's types.

`jaxtyping.jaxtyped` binds the arguments anew at each call and checks them twice, which took two fifths of the suite's
time. `checked` stands in its place in the modules that jaxtyping's import hook rewrites. It checks the same, once: the
arguments and the result of a call in one scope of axis names, and without a scope where no array is named.

A sampler calls the same functions a thousand times with the same shapes. So each test checks the first `CALLS` calls of
every function, and the next test begins anew; `SEA_CHECKED_CALLS=1000000000 pytest` checks all. A function within a
function is another one each time that the outer one is called, and beartype compiles it anew, which takes longer than
what a tiny model computes: of those, a test checks the first `MADE` that are called.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import inspect
import os
import types
import typing
from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray, jaxtyped

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


CALLS = int(os.environ.get("SEA_CHECKED_CALLS", "16"))
"""How many calls of a function a test checks."""

MADE = max(2, CALLS // 8)
"""Of the functions that one place within a function makes, how many a test checks."""

_tests = 0
"""How many tests have begun."""


def begin_test() -> None:
    """The next call of every function is a first one again."""
    global _tests
    _tests += 1


class _Count:
    """What a test has left to do of something; `most` when the next one begins."""

    __slots__ = ("left", "test")

    def __init__(self) -> None:
        self.test = self.left = -1

    def take(self, most: int) -> bool:
        """Whether there was one left, which is taken."""
        if self.test != _tests:
            self.test, self.left = _tests, most
        self.left -= 1
        return self.left >= 0


_made: collections.defaultdict[types.CodeType, _Count] = collections.defaultdict(_Count)
"""Of each function within a function: how many of those that it becomes may still be compiled."""


def _checked(function: types.FunctionType) -> Callable[..., Any]:
    """The function, whose first calls in each test are checked."""
    slow: Callable[..., Any] | None = None
    calls = _Count()
    made = _made[function.__code__] if "<locals>" in function.__qualname__ else None

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal slow
        if not calls.take(CALLS) or (slow is None and made is not None and not made.take(MADE)):
            return function(*args, **kwargs)
        slow = slow or _with_checks(function)
        return slow(*args, **kwargs)

    return call


def _with_checks(function: types.FunctionType) -> Callable[..., Any]:
    """The function with all its calls checked."""
    if inspect.isgeneratorfunction(function):  # its body runs outside the call, and so outside a scope of the call
        return jaxtyped(function, typechecker=typed)
    hints = {name: _resolved(hint, function.__globals__) for name, hint in function.__annotations__.items()}
    # beartype reads the annotations that stand at the function: it gets a copy, for the package reads its own
    copy = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__, copy.__annotations__ = function.__kwdefaults__, hints
    copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
    call = typed(copy)
    return _in_a_scope(call) if any(map(_names_an_array, hints.values())) else call


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
