"""The errors of sea_toolkit. Each message says what was found, what was expected and what to try."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

LONGEST = 4000
"""Characters of a part of a message: what was found may be megabytes."""


class SeaError(Exception):
    """A mistake or failure that a person can act on. The command line prints it without a traceback.

    Args:
        got: what was found, in one sentence.
        expected: what would have been right.
        hint: what to try next.

    Attributes:
        results: of an error that ended a run after it had met a text: what the run found until then, as `align` would
            have returned it; else empty.
    """

    exit_code = 1
    results: Sequence[Any] = ()

    def __init__(self, got: str, *, expected: str | None = None, hint: str | None = None) -> None:
        got = shortened(got, LONGEST)
        expected, hint = (text and shortened(text, LONGEST) for text in (expected, hint))
        self.got, self.expected, self.hint = got, expected, hint
        lines = [got]
        if expected:
            lines.append(f"expected: {expected}")
        if hint:
            lines.append(f"try: {hint}")
        super().__init__("\n".join(lines))


class RecipeError(SeaError):
    """The recipe (or the flags, or the Python arguments it was made from) asks for something impossible."""

    exit_code = 2


class PluginError(SeaError):
    """A plugin is broken or misbehaves; the message names the plugin and its distribution."""


class ModelError(SeaError):
    """A model or its weights cannot be found, cannot be read, or does not fit the task."""


class NumericalError(SeaError):
    """Numbers that are not finite where nothing can go on without: no text of a run has a finite energy, a token is to
    be drawn from NaN."""


class OutOfMemoryError(SeaError):
    """A device, or the machine, has no memory left."""


def shortened(text: str, length: int = 80) -> str:
    """The text, or its beginning and its end where it is longer than a message may be."""
    if len(text) <= length:
        return text
    return f"{text[: length * 3 // 4]} … {text[-length // 4 :]}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint with the closest known names; where none is close, the known names themselves (at most 20)."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name[:100], names, n=3, cutoff=0.55)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    if not names:
        return "there are none"
    shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    return f"one of: {shown}"
