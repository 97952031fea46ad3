"""How long work will still take, from how long it took so far."""

from __future__ import annotations

import time


class Pace:
    """Follows work from its first report on.

    Attributes:
        fraction: the part that is done, 0 to 1; None before the first report, and where the total is unknown.
        seconds_left: what the rest takes at the speed so far; None as long as nothing was done.
    """

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None
        self.fraction: float | None = None
        self.seconds_left: float | None = None

    def tell(self, done: float, total: float, *, again: bool = False) -> None:
        """Report that `done` of `total` is done.

        Args:
            done: so far.
            total: 0 where it is unknown.
            again: what was done before now does not count for the speed.
        """
        now = time.monotonic()
        if self._first is None or again:
            self._first = now, done
        began, before = self._first
        self.fraction = min(1.0, done / total) if total else None
        gained = done - before
        self.seconds_left = max(0.0, total - done) * (now - began) / gained if total and gained > 0 else None


def time_left(seconds: float) -> str:
    """`35 s`, `4 min`, `2 h 10 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
