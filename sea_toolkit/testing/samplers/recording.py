"""A clock that records what is read from it, to observe whether a sampler reads its budget."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sea_toolkit.core.clock import Clock
from sea_toolkit.registry.options import Number
from sea_toolkit.schedules.base import is_schedule


class RecordingClock(Clock):
    """Records in `asked` what is read from it inside `recording`: "progress", "budget", "left"."""

    def __init__(self) -> None:
        self.asked: set[str] = set()
        self._listening = False
        super().__init__()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """A block whose reads are recorded."""
        self._listening = True
        try:
            yield
        finally:
            self._listening = False

    def value(self, number: Number) -> float:
        """As the clock that it replaces; a plain number reads nothing."""
        return super().value(number) if is_schedule(number) else float(number)  # type: ignore[arg-type]

    @property
    def progress(self) -> float:
        self._note("progress")
        return self._progress

    @progress.setter
    def progress(self, value: float) -> None:
        self._progress = value

    @property
    def budget(self) -> float | None:
        self._note("budget")
        return self._budget

    @budget.setter
    def budget(self, value: float | None) -> None:
        self._budget = value

    @property
    def left(self) -> float | None:
        self._note("left")
        return self._left

    @left.setter
    def left(self, value: float | None) -> None:
        self._left = value

    def _note(self, name: str) -> None:
        if self._listening:
            self.asked.add(name)
