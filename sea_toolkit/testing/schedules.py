"""`check_schedule`: a number that depends on the place in a run, or on a state that goes into checkpoints."""

from __future__ import annotations

import copy
import inspect
import math
from numbers import Real
from typing import Any

from sea_toolkit.schedules.base import Schedule
from sea_toolkit.schedules.reactive import Observation, ReactiveSchedule
from sea_toolkit.testing.conformance import global_seed, global_streams_untouched, reported, require
from sea_toolkit.testing.setting import Setting, under_test

PROPERTIES = {
    "builds": "it registers and takes these options; a class has at, observe, state and load_state",
    "float": "its value is a plain number, no bool, string or tensor",
    "ends": "finite at the beginning and the end of a run, however many steps it has",
    "finite": "finite everywhere between",
    "pure": "the same place of the same run gives the same number, in any order, however often it is asked",
    "state": "a class that follows the run goes on where its state, plain data, was taken",
    "global random state": "neither torch's nor numpy's global random stream is touched",
}
"""What a schedule promises, in the order of the documentation."""

STEPS = 40
PLACES = [(step / (STEPS - 1), step) for step in range(STEPS)]


@reported
def check_schedule(schedule: Any, setting: Setting | None = None, /, **options: Any) -> tuple[str, ...]:
    """Check a schedule along a run of forty steps.

    "state" is left out for a function; a class that follows the run gets a simulated one.

    Args:
        schedule: what is registered, or the name of an installed schedule.
        setting: `lacks` and `hub` count here.
        **options: of the schedule.

    Returns:
        The names of the properties that hold.

    Raises:
        ConformanceError: one does not; it is named.
    """
    setting = setting or Setting()
    with under_test("schedule", schedule, PROPERTIES, setting) as (checks, _, item):
        original = copy.deepcopy(options)
        with checks("builds"):
            follows = inspect.isclass(item.target)
            if follows:
                ReactiveSchedule(item.qualified, item.build(options), owner=item.owner)
            walk = Walk(item.build(options), follows)
        with checks("float"):
            for value in walk.values:
                plain = isinstance(value, Real) and not isinstance(value, bool)
                require(
                    plain, "its value is no plain number", detail=f"{value!r} ({type(value).__name__})", hint="float(…)"
                )
        with checks("ends"):
            at = _at(item.build(options), follows)
            for place in ((0.0, 0), (1.0, 0), (1.0, 1), (0.0, 10**6), (1.0, 10**6)):
                require(math.isfinite(at(*place)), "it is not finite at an end of the run", detail=str(place))
            Schedule(item.qualified, at, owner=item.owner)
        with checks("finite"):
            for place, value in zip(PLACES, walk.values, strict=True):
                require(math.isfinite(value), "it is not finite within the run", detail=f"{value} at {place}")
        with checks("pure"), global_seed(1):
            if follows:
                again = Walk(item.build(copy.deepcopy(original)), follows, asked=3).values
            else:
                backwards = {place: at(*place) for place in reversed(PLACES)}
                again = [backwards[place] for place in PLACES]
            require(
                again == walk.values,
                "the same place in the run has another value the second time",
                hint="keep no counter; a class counts in observe",
            )
        if follows:
            with checks("state"):
                _state(item, original, walk)
        with checks("global random state"), global_streams_untouched():
            Walk(item.build(options), follows)
    return checks.result


class Walk:
    """A schedule along a run.

    Args:
        schedule: the built schedule.
        follows: whether it observes each step.
        asked: how often it is asked at each place.
        begin: the first step; its `values` are those from here on.
    """

    def __init__(self, schedule: Any, follows: bool, *, asked: int = 1, begin: int = 0) -> None:
        self.schedule, self.values, self.states = schedule, [], []
        at = _at(schedule, follows)
        for place in PLACES[begin:]:
            values = [at(*place) for _ in range(asked)]
            self.values.append(values[-1])
            if follows:
                schedule.observe(_observation(*place))
                self.states.append(copy.deepcopy(schedule.state()))


def _at(schedule: Any, follows: bool) -> Any:
    return schedule.at if follows else schedule


def _observation(progress: float, step: int) -> Observation:
    """An observation of a run that improves fast, then slowly, and whose acceptance varies."""
    rate = 0.5 + 0.4 * math.sin(step)
    best = 30.0 * math.exp(-0.3 * (step // 3))
    return Observation(step, progress, best, {"acceptance": rate, "accepted": rate})


def _state(item: Any, options: dict[str, Any], walk: Walk) -> None:
    cut = STEPS // 2
    resumed = ReactiveSchedule(item.qualified, item.build(copy.deepcopy(options)), owner=item.owner)
    resumed.load_state(walk.states[cut - 1])
    values = Walk(resumed, True, begin=cut).values
    require(
        values == walk.values[cut:],
        "a run that is resumed has other numbers than one in one piece",
        detail=f"state {walk.states[cut - 1]}",
        hint="state() has all that observe changes",
    )
