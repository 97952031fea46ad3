"""The end of a run by the clock or by somebody's wish, between two steps or between two tokens."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from sea_toolkit.errors import RecipeError
from sea_toolkit.util import ranks


class Halted(BaseException):
    """The run is to end now; like Ctrl-C, nothing on the way may take it for a failure of its own."""


class Halt:
    """When a run ends though its steps and its budget are not spent.

    Asked by whoever takes long: the loop between steps, decoding between tokens. The answers that the chains start with
    are always drawn, so that there is one for each prompt.

    Args:
        max_seconds: of sampling, all batches together; loading models comes before it.
        should_stop: asked in the thread that runs; true ends the run, and what it raises ends it at once.

    Raises:
        RecipeError: `max_seconds` is no number above 0.
    """

    def __init__(self, max_seconds: float | None = None, should_stop: Callable[[], bool] | None = None) -> None:
        wrong = isinstance(max_seconds, bool) or not isinstance(max_seconds, int | float | None)
        if wrong or (max_seconds is not None and not (0 < max_seconds < math.inf)):
            raise RecipeError(f"max_seconds = {max_seconds!r}", expected="a number of seconds above 0")
        self.max_seconds, self.should_stop = max_seconds, should_stop
        self._until = math.inf
        self._begun = False

    def begin(self) -> None:
        """The clock runs from the first call on."""
        if self.max_seconds is not None and not self._begun:
            self._until = time.monotonic() + self.max_seconds
        self._begun = True

    def ask(self) -> None:
        """Raises: Halted if it is time, or if `should_stop` failed, which is then its cause: no plugin is at fault."""
        if self.max_seconds is None and self.should_stop is None:
            return
        if reason := ranks.by_first(self._reason):
            raise Halted(reason)

    def ask_at_the_start(self) -> None:
        """While first answers are drawn: only a failure of `should_stop` ends that.

        Raises:
            Halted: as `ask`, if `should_stop` failed.
        """
        if self.should_stop is not None:
            ranks.by_first(self._wanted)

    def _reason(self) -> str | None:
        if time.monotonic() >= self._until:
            return f"max_seconds = {self.max_seconds:g} is over"
        return "should_stop said so" if self._wanted() else None

    def _wanted(self) -> bool:
        try:
            return self.should_stop is not None and self.should_stop()
        except Exception as error:
            raise Halted("should_stop failed") from error
