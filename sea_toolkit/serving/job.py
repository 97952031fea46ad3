"""A request that waits for its run, and what it is told meanwhile: the bridge from the worker's thread to the loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sea_toolkit.serving.answers import Answer
from sea_toolkit.serving.order import Order

APART = 0.1
"""Seconds between two drafts of a stream, at least."""


@dataclass(frozen=True)
class Draft:
    """How far a run is.

    Attributes:
        step: steps done.
        energy: for each prompt of the request the lowest energy so far.
        texts: for each prompt the text with that energy, which may be replaced still.
    """

    step: int
    energy: Sequence[float]
    texts: Sequence[str]


class Job:
    """One request.

    Made in the event loop; the worker's thread calls `tell`, `finish` and `fail`.

    Args:
        order: what is to be run.
        streams: the client is told drafts.

    Attributes:
        left: set when the client has gone.
        answers: of the prompts; a future of the loop.
        drafts: those that the client has not been told yet, and None at the end.
    """

    def __init__(self, order: Order, streams: bool) -> None:
        self.order, self.streams = order, streams
        self.left = threading.Event()
        self._loop = asyncio.get_running_loop()
        self.answers: asyncio.Future[list[Answer]] = self._loop.create_future()
        self.answers.add_done_callback(_looked_at)
        self.drafts: asyncio.Queue[Draft | None] = asyncio.Queue()
        self._told = float("-inf")

    def tell(self, draft: Callable[[], Draft]) -> None:
        """Pass a draft on, if it is wanted and not too soon after the one before."""
        now = time.monotonic()
        if self.streams and not self.left.is_set() and now - self._told >= APART:
            self._told = now
            self._call(self.drafts.put_nowait, draft())

    def finish(self, answers: list[Answer]) -> None:
        """The run has ended."""
        self._end(lambda: self.answers.set_result(answers))

    def fail(self, error: Exception) -> None:
        """There is no answer."""
        self._end(lambda: self.answers.set_exception(error))

    def leave(self) -> None:
        """The response is over; if there is no answer yet, the client has gone."""
        if not self.answers.done():
            self.left.set()

    def _end(self, settle: Callable[[], None]) -> None:
        def end() -> None:
            if not self.answers.done():
                settle()
            self.drafts.put_nowait(None)

        self._call(end)

    def _call(self, function: Callable[..., Any], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is closed: nobody waits
            self.left.set()


def _looked_at(future: asyncio.Future[Any]) -> None:
    """A client that has gone does not look at its error; asyncio would complain."""
    if not future.cancelled():
        future.exception()
