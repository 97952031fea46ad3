"""Ctrl-C is never lost, whatever the code that it strikes makes of it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_pressed = threading.Event()


@contextlib.contextmanager
def noticed() -> Iterator[threading.Event]:
    """Python's answer to Ctrl-C, and a flag beside it, set from the first press on.

    An import that Ctrl-C strikes often raises something else: "cannot import name …", "the model cannot be loaded".
    """

    def press(number: int, frame: FrameType | None) -> None:
        _pressed.set()
        signal.default_int_handler(number, frame)

    _pressed.clear()
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, press)
    try:
        yield _pressed
    finally:
        if ours and signal.getsignal(signal.SIGINT) is press:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def stop_if_pressed() -> None:
    """For the places that a run passes again and again.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed, and something has swallowed it.
    """
    if _pressed.is_set():
        raise KeyboardInterrupt
