"""`check_schedule`: a number that depends on the place in a run, and on nothing else."""

from __future__ import annotations

import copy
import functools
import math
from contextlib import ExitStack
from numbers import Real
from typing import Any

from sea_toolkit.schedules.schedule import Schedule
from sea_toolkit.testing.conformance import Checks, global_seed, global_streams_untouched, require
from sea_toolkit.testing.setting import Setting, described, registered

PROPERTIES = {
    "builds": "it registers and takes these options",
    "float": "its value is a plain number, no bool, string or tensor",
    "ends": "finite at the beginning and the end of a run, however many steps it has",
    "finite": "finite everywhere between",
    "pure": "the same progress and step give the same number, in any order and for every copy",
    "inputs": "its options stay as they are",
    "global random state": "neither torch's nor numpy's global random stream is touched",
}
"""What a schedule promises, in the order of the documentation."""

STEPS = 40


def check_schedule(schedule: Any, setting: Setting | None = None, /, **options: Any) -> tuple[str, ...]:
    """Check a schedule along a run of forty steps.

    Args:
        schedule: what is registered, or the name of an installed schedule.
        setting: `lacks` and `hub` count here.
        **options: of the schedule.

    Returns:
        The names of the properties that hold.

    Raises:
        ConformanceError: one does not; it is named.
    """
    here = setting or Setting()
    checks = Checks(described("schedule", schedule), PROPERTIES, here.lacks)
    with ExitStack() as stack:
        given = copy.deepcopy(options)
        with checks("builds"):
            _, item = stack.enter_context(registered("schedule", schedule, here.hub))
            at = item.build(options)
            require(isinstance(at, functools.partial), "a class is registered", expected="f(progress, step, *, …)")
        places = [(step / (STEPS - 1), step) for step in range(STEPS)]
        with checks("float"):
            for progress, step in places:
                value = at(progress, step)
                plain = isinstance(value, Real) and not isinstance(value, bool)
                require(
                    plain, "its value is no plain number", detail=f"{value!r} ({type(value).__name__})", hint="float(…)"
                )
        with checks("ends"):
            for place in ((0.0, 0), (1.0, 0), (1.0, 1), (0.0, 10**6), (1.0, 10**6)):
                require(math.isfinite(at(*place)), "it is not finite at an end of the run", detail=_at(at, place))
            Schedule(item.qualified, at, owner=item.distribution)
        with checks("finite"):
            for place in places:
                require(math.isfinite(at(*place)), "it is not finite within the run", detail=_at(at, place))
        with checks("pure"):
            first = {place: at(*place) for place in places}
            again = item.build(copy.deepcopy(given))
            for other in (at, again):
                with global_seed(1):
                    values = {place: other(*place) for place in reversed(places)}
                wrong = [place for place in places if values[place] != first[place]]
                require(
                    not wrong,
                    "the same place in the run has another value the second time",
                    detail=f"progress and step {wrong[:1]}",
                    hint="keep no counter",
                )
        with checks("inputs"):
            require(options == given, "it changes its options", detail=f"{given} became {options}")
        with checks("global random state"), global_streams_untouched():
            at(0.5, 3)
    return checks.result


def _at(at: Any, place: tuple[float, int]) -> str:
    return f"{at(*place)} at progress {place[0]:g}, step {place[1]}"
