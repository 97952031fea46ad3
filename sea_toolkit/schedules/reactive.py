"""Schedules that follow the run: what they are told after each step, and what they become in a composed recipe."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from sea_toolkit.registry.blame import AttributedError, Owner, attribute_errors_to
from sea_toolkit.registry.forms import METHODS
from sea_toolkit.schedules.base import Schedule


@dataclass(frozen=True)
class Observation:
    """What a run reports to its schedules after a step. All prompts of a run share the schedule, so these are means
    over them.

    Attributes:
        step: the step that was taken, from 0; `progress`: of the run when it was taken.
        best_energy: of the best text so far, by the weights at the end of the run; mean over the prompts that have met
            a finite one, inf if none has.
        metrics: what the sampler reports of the step, such as `acceptance`; mean over the prompts and chains that still
            move and have a finite one, nan if none has.
    """

    step: int
    progress: float
    best_energy: float
    metrics: Mapping[str, float]


@runtime_checkable
class Reactive(Protocol):
    """What a schedule class offers; its constructor's parameters are the options."""

    def at(self, progress: float, step: int) -> float:
        """The value now."""

    def observe(self, seen: Observation) -> None:
        """Take note of a step."""

    def state(self) -> Any:
        """All that `observe` has changed, as plain data: dicts, lists, strings, numbers, None."""

    def load_state(self, state: Any) -> None:
        """Go on where `state()` was taken."""


class ReactiveSchedule(Schedule):
    """A schedule with a memory, made anew for each place of a recipe; a run resets it, feeds it and keeps its state.

    Args:
        name: as for a `Schedule`.
        owner: as for a `Schedule`.
        schedule: an instance of the registered class, see `Reactive`.

    Raises:
        RecipeError: the schedule refuses its options.
        PluginError: a method is missing or fails, the state is not plain data, a value is not a finite number.
    """

    def __init__(self, name: str, schedule: Any, *, owner: Owner | None = None) -> None:
        if not isinstance(schedule, Reactive):
            methods = METHODS["schedule"]
            missing = [method for method in methods if not callable(inspect.getattr_static(schedule, method, None))]
            raise AttributedError(
                owner or f"schedule {name!r}",
                f"it is a class without {', '.join(missing)}",
                expected="at(progress, step), observe(seen), state() and load_state(state)",
            )
        super().__init__(name, schedule.at, owner=owner)
        self._schedule = schedule
        self._fresh = self.state()

    def observe(self, seen: Observation) -> None:
        """Raises: PluginError if the schedule fails; a RecipeError of its own passes."""
        self._guard("observe", lambda: self._schedule.observe(seen))

    def state(self) -> Any:
        """A copy of the state, plain data."""
        return self._guard("state", lambda: json.loads(json.dumps(self._schedule.state())))

    def load_state(self, state: Any) -> None:
        """Go on where `state()` was taken; the given data stays as it is."""
        self._guard("load_state", lambda: self._schedule.load_state(json.loads(json.dumps(state))))

    def reset(self) -> None:
        """Go back to the first state."""
        self.load_state(self._fresh)

    def _guard(self, method: str, call: Callable[[], Any]) -> Any:
        with attribute_errors_to(self.owner, f"failed in {method}", user_errors_pass=True):
            return call()
