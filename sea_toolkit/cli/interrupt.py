"""Ctrl-C, SIGTERM and SIGHUP are never lost, whatever the code that they strike makes of them."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

_STOPS = ["SIGINT", "SIGTERM", "SIGHUP"]
"""Signals that end a command with its bookkeeping: a person's, a scheduler's, a closed terminal's."""

_pressed = threading.Event()
_received: list[int] = []


@contextlib.contextmanager
def noticed() -> Iterator[threading.Event]:
    """Python's answer to Ctrl-C for SIGTERM and SIGHUP too, and a flag beside it, set from the first of them on.

    An import that Ctrl-C strikes often raises something else: "cannot import name …", "the model cannot be loaded". A
    signal that was ignored before, as under `nohup`, stays ignored.
    """

    def press(number: int, frame: FrameType | None) -> None:
        _received.append(number)
        _pressed.set()
        signal.default_int_handler(number, frame)

    _pressed.clear()
    _received.clear()
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for stop in (signal.Signals[name] for name in _STOPS if name in signal.Signals.__members__):
            if signal.getsignal(stop) in (signal.default_int_handler, signal.SIG_DFL):
                before[stop] = signal.signal(stop, press)
    try:
        yield _pressed
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is press:
                signal.signal(number, handler)


def exit_code() -> int:
    """128 and the number of the signal that came first: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
    return 128 + (_received[0] if _received else signal.SIGINT)


def stop_if_pressed() -> None:
    """For the places that a run passes again and again.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed, and something has swallowed it.
    """
    if _pressed.is_set():
        raise KeyboardInterrupt
