"""The object that a schedule becomes in a composed recipe, and what the schedules share."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import TypeGuard

from sea_toolkit.registry.blame import AttributedError, Owner, attribute_errors_to
from sea_toolkit.registry.options import Number, ScheduleLike


class Schedule:
    """A schedule with its options bound: a number that depends on where the run is.

    It is evaluated at both ends when it is made, so that a wrong option is found before a run begins.

    Args:
        name: what to call it in messages, for example `sea-waves:sine`.
        function: `f(progress, step) -> float`, a pure function.
        owner: whose code it is, named in errors.

    Raises:
        RecipeError: the function refuses its options.
        PluginError: the function fails, or returns something else than a finite number.
    """

    def __init__(self, name: str, function: Callable[[float, int], float], *, owner: Owner | None = None) -> None:
        self.name = name
        self.owner = owner or Owner(f"schedule {name!r}").with_code_of(function)
        self._function = function
        self.at(0.0, 0)
        self.at(1.0, 1)

    def __repr__(self) -> str:
        return f"<Schedule {self.name}: {self.at(0.0, 0):g} … {self.at(1.0, 1):g}>"

    def at(self, progress: float, step: int) -> float:
        """The value at this point of the run.

        Args:
            progress: part of the run that is done; clamped to [0, 1], as a run may overshoot its budget
                by a step.
            step: the step's number, from 0.

        Raises:
            PluginError: the schedule fails, or returns something else than a finite number.
        """
        point = f"at progress {progress:g}, step {step}"
        with attribute_errors_to(self.owner, f"failed {point}", user_errors_pass=True, dated=False):
            result = self._function(min(max(float(progress), 0.0), 1.0), step)
        try:
            finite = isinstance(result, Real) and math.isfinite(result)
        except OverflowError:
            what = f"returned a number larger than a float can be {point}"
            raise AttributedError(self.owner, what, expected="a finite number") from None
        # A bool is an int to Python, but nobody means one here.
        if isinstance(result, bool) or not finite:
            what = f"returned {result!r} ({type(result).__name__}) {point}"
            raise AttributedError(self.owner, what, expected="a finite number")
        return float(result)


def is_schedule(number: object) -> TypeGuard[ScheduleLike]:
    """Whether this is a schedule rather than a plain number (whatever has a method `at` is one)."""
    return isinstance(number, ScheduleLike)


def value(number: Number, progress: float, step: int) -> float:
    """Resolve a number that may be a schedule, at this point of the run."""
    return number.at(progress, step) if isinstance(number, ScheduleLike) else float(number)


def between(start: float, end: float, part: float) -> float:
    """From start (part 0) to end (part 1) in a straight line: exact at both ends, never outside them."""
    low, high = min(start, end), max(start, end)
    return min(max((1.0 - part) * start + part * end, low), high)
