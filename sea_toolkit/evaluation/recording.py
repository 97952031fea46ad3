"""A clock that notes who asks it: whether a run depends on how far it is, is then known and not assumed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sea_toolkit.core.clock import Clock
from sea_toolkit.registry.options import Number, ScheduleLike


class WatchedClock(Clock):
    """A clock that notes what a sampler or an energy asks it while `listening`."""

    listening = False

    def __init__(self) -> None:
        self.asked: set[str] = set()
        super().__init__()

    def value(self, number: Number) -> float:
        return super().value(number) if isinstance(number, ScheduleLike) else float(number)

    @property
    def progress(self) -> float:
        return self._tell("progress", self._progress)

    @progress.setter
    def progress(self, value: float) -> None:
        self._progress = value

    @property
    def budget(self) -> float | None:
        return self._tell("budget", self._budget)

    @budget.setter
    def budget(self, value: float | None) -> None:
        self._budget = value

    def _tell(self, name: str, value: Any) -> Any:
        if self.listening:
            self.asked.add(name)
        return value


class Overheard:
    """A sampler whose steps are listened to."""

    def __init__(self, sampler: Any, clock: WatchedClock) -> None:
        self._sampler, self._clock = sampler, clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sampler, name)

    def init(self, *given: Any) -> Any:
        return self._listen(self._sampler.init, given)

    def step(self, *given: Any) -> Any:
        return self._listen(self._sampler.step, given)

    def _listen(self, call: Callable[..., Any], given: Any) -> Any:
        self._clock.listening = True
        try:
            return call(*given)
        finally:
            self._clock.listening = False
