"""How far a run is, on stderr: a bar on a terminal, one line in a notebook, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

from sea_toolkit.events import Event
from sea_toolkit.reporting.pace import Pace, time_left
from sea_toolkit.util.printable import printable
from sea_toolkit.util.progress import Progress, silent

Observer = Callable[[Event], None]
"""What `on_event` is: called with each `Event` of a run."""

EVERY = 10.0
"""Seconds between two lines where stderr is no terminal."""


@runtime_checkable
class Display(Protocol):
    """Where progress is shown."""

    def show(self, what: str, done: float, total: float, note: str, text: str) -> None:
        """Show how far `what` is; `total` is 0 where it is unknown, `text` the best answer so far."""

    def close(self) -> None:
        """The work is done."""


class Live:
    """Shows loading, downloads and the steps of a run; `with Live() as live:` around it.

    Args:
        display: where; None: chosen by what stderr is.
    """

    def __init__(self, display: Display | None = None) -> None:
        self._chosen, self._display, self._pace = display, display, Pace()

    def __enter__(self) -> Live:
        if self._chosen is None:
            self._display = display_for(sys.stderr)
        self._pace = Pace()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._display is not None:
            self._display.close()
        self._display = self._chosen

    def on_event(self, event: Event) -> None:
        """Follow a run: steps or samples of its budget, the time left, the lowest energy and its text."""
        if event.kind != "end":  # then it is over anyway
            self._heard()
        if event.kind == "checkpoint":
            return
        budget = event.budget is not None
        done, total = (event.samples, event.budget) if budget else (float(event.step), float(event.steps or 0))
        if event.kind == "end":
            done = total = total or done
        self._pace.tell(done, total or 0.0, again=event.kind == "start")
        energy = sum(event.energy) / len(event.energy)
        of = f"· {event.samples:.1f} of {event.budget:g} samples" if budget else f"of {event.steps}"
        left = "" if event.kind == "end" else self._left()
        best = f"energy {energy:.2f} · {event.texts[0]}"
        self._show("aligning", done, total or 0.0, f"step {event.step} {of}{left}", best)

    def progress(self, done: int, total: int, what: str) -> None:
        """Follow a download, a conversion, or something whose end is unknown (`total` 0)."""
        note = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB" if total > 10**6 else ""
        self._show(what, done, total, note, "")

    def watching(self, doing: str, unit: str = "samples") -> Callable[[float, float, str], None]:
        """What follows work on many prompts: "comparing" or "sweeping" in samples over all of them, or "answering"."""

        def watch(done: float, total: float, what: str) -> None:
            self._heard()
            self._pace.tell(done, total, again=self._pace.fraction is None)
            self._show(doing, done, total, f"{what} · {done:.0f} of {total:.0f} {unit}{self._left()}", "")

        return watch

    def _heard(self) -> None:
        """A run has given a sign of life."""

    def _left(self) -> str:
        seconds = self._pace.seconds_left
        return "" if seconds is None else f" · about {time_left(seconds)} left"

    def _show(self, what: str, done: float, total: float, note: str, text: str) -> None:
        if self._display is not None:
            self._display.show(what, done, total, note, printable(" ".join(text.split()), one_line=True))


class Lines:
    """A line when something begins, at the first step, and then every ten seconds, however long a step takes.

    Args:
        stream: what is written to.
        in_place: write each over the one before, at every call: for a notebook.
        wait: leave out what is over within ten seconds.
    """

    def __init__(self, stream: Any, *, in_place: bool = False, wait: bool = False) -> None:
        self.stream, self.in_place, self.wait = stream, in_place, wait
        self._begun: set[str] = set()
        self._line, self._width, self._at = "", 0, time.monotonic()
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def show(self, what: str, done: float, total: float, note: str, text: str) -> None:
        """See `Display`."""
        share = f" {100 * done / total:.0f}%" if total else " …" if not note else ""
        line = f"{what}{share}" + (f": {note}" if note else "") + (f" · {text}" if text else "")
        with self._lock:
            self._line = line if len(line) <= 160 else line[:159] + "…"
            if note.startswith("step 0 "):
                return
            begins = what not in self._begun and not self.wait
            self._begun.add(what)
            if begins or self.in_place:
                self._write()
            if self._thread is None and not self.in_place:
                self._thread = threading.Thread(target=self._every_ten_seconds, daemon=True)
                self._thread.start()
        self.write_if_due()

    def write_if_due(self) -> None:
        """Write the latest line if the last one is ten seconds old."""
        with self._lock:
            if self._line and time.monotonic() - self._at >= EVERY:
                self._write()

    def close(self) -> None:
        """See `Display`."""
        self._closed.set()
        with self._lock:
            if self.in_place and self._width:
                self._put("\n")
            self._line = ""

    def _every_ten_seconds(self) -> None:
        while not self._closed.wait(EVERY):
            self.write_if_due()

    def _write(self) -> None:
        self._at = time.monotonic()
        self._put("\r" + self._line.ljust(self._width) if self.in_place else self._line + "\n")
        self._width = len(self._line)

    def _put(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a closed stream does not end a run
            self.stream.write(text)
            self.stream.flush()


def display_for(stream: Any) -> Display | None:
    """A bar on a terminal, one line that changes in a notebook, lines elsewhere; None without a stream."""
    if stream is None:
        return None
    if "ipykernel" in sys.modules:
        return Lines(stream, in_place=True)
    if not stream.isatty():
        return Lines(stream)
    from rich.console import Console

    from sea_toolkit.reporting.bar import Bar

    return Bar(Console(file=stream))


def watched(progress: bool | Progress) -> tuple[Live | None, Progress]:
    """The argument `progress` of a call: what shows a run, and what is told of loading and downloads."""
    if callable(progress):
        return None, progress
    live = Live() if progress else None
    return live, silent if live is None else live.progress


def both(live: Live | None, on_event: Observer | None) -> Observer | None:
    """An observer for what is shown and for the caller's own."""
    if live is None or on_event is None:
        return on_event if live is None else live.on_event

    def observe(event: Event) -> None:
        live.on_event(event)
        on_event(event)

    return observe


@contextlib.contextmanager
def shown(live: Live | None) -> Iterator[None]:
    """Show progress within the block, if it is wanted."""
    with contextlib.nullcontext() if live is None else live:
        yield
