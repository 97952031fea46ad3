"""Ctrl-C in Python: the run ends, and the best so far is what the call gives."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from sea_toolkit.runs.result import Interrupted, Result

OnInterrupt = Literal["return", "raise"]
"""What Ctrl-C does: "return" gives the best so far, with status "interrupted"; "raise" raises `Interrupted`."""

AGAIN = 3.0
"""Seconds within which a second Ctrl-C is meant for the program rather than for the run."""


class _Latest:
    """When a run of this process was interrupted last."""

    at = float("-inf")


def pressed_again() -> bool:
    """Whether the press before this one was only just now; to be asked once for each press."""
    before, _Latest.at = _Latest.at, time.monotonic()
    return _Latest.at - before <= AGAIN


def best_so_far(run: Callable[[], list[Result]], on_interrupt: OnInterrupt, folder: Path | None = None) -> list[Result]:
    """What a run gives; Ctrl-C ends it early.

    Args:
        run: loads, and runs.
        on_interrupt: what Ctrl-C does. A second press within three seconds raises in any case, so that a loop over runs
            can be left.
        folder: of the run, for the message.

    Raises:
        Interrupted: Ctrl-C, with "raise" or pressed twice; its `results` hold the best so far.
        KeyboardInterrupt: Ctrl-C before there was an answer.
    """
    try:
        return run()
    except Interrupted as stop:
        results = stop.results
    except KeyboardInterrupt:
        pressed_again()
        raise KeyboardInterrupt("interrupted before the first answer: there is no result") from None
    where = "" if folder is None else f"; sea_toolkit.resume({str(folder)!r}) goes on"
    if pressed_again() or on_interrupt == "raise":
        raise Interrupted(
            results, f"interrupted after {_steps(results)}: .results has the best so far{where}"
        ) from None
    tell(f"interrupted after {_steps(results)}: this is the best so far{where}")
    return results


def tell(message: str) -> None:
    """A warning at the line outside of sea_toolkit that called."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith("sea_toolkit."):
        level, frame = level + 1, frame.f_back
    warnings.warn(f"{message} (Ctrl-C twice stops the program)", UserWarning, stacklevel=level)


def _steps(results: list[Result]) -> str:
    steps = results[0].steps
    return f"{steps} step" if steps == 1 else f"{steps} steps"
