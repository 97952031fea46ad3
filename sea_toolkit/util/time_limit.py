"""A limit of time for code that somebody else wrote, in any thread and on every system."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class OutOfTime(Exception):
    """The block took longer than it may."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` in this thread where the block runs longer.

    Python code is interrupted between two steps of it; one long step in C (a power with millions of digits) is not.

    Raises:
        OutOfTime: in the block.
    """
    thread, over, lock = threading.get_ident(), threading.Event(), threading.Lock()

    def interrupt() -> None:
        with lock:
            if not over.is_set():
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(OutOfTime))

    timer = threading.Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            over.set()
        timer.cancel()
