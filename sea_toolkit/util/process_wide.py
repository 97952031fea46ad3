"""What the whole process has once, and several threads want to change for a while: torch's default dtype and random
stream, the level of a library's log, the working folder."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

ONE_AT_A_TIME = threading.RLock()
"""Held from the change of such a thing until it is put back, so that no thread puts back what another one has set; and
while a model is loaded, which sets torch's default dtype. Nobody who holds the lock of a file may wait for it."""


class SharedBlock:
    """A block that may be entered by many threads at a time: the first one makes the change, the last one undoes it.

    Args:
        change: makes the change when it is entered, and undoes it when it is left.
        lock: held while the change is made or undone.
    """

    def __init__(
        self, change: Callable[[], AbstractContextManager[object]], lock: threading.RLock | None = None
    ) -> None:
        self._change, self._inside, self._lock = change, 0, lock or threading.RLock()
        self._entered: AbstractContextManager[object] | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._entered is None:
                entered = self._change()
                entered.__enter__()
                self._entered = entered
            self._inside += 1

    def __exit__(self, *failure: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._entered is not None:
                entered, self._entered = self._entered, None
                entered.__exit__(None, None, None)
