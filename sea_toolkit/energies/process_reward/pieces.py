"""The steps of an answer, and the parts of the whole text that a process reward reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.spans import Span


@dataclass(frozen=True)
class Piece:
    """A part of the whole text.

    Attributes:
        content: its text.
        kind: a step, what stands behind it up to where it is judged, or anything else.
        skipped: of a step, the characters of the answer before it.
    """

    content: str
    kind: Literal["step", "separator", "other"] = "other"
    skipped: int = 0


def steps_of(answer: str, pattern: re.Pattern[str]) -> list[Piece]:
    """The steps of an answer; what is blank is none, unless there is nothing else."""
    steps, start = list[Piece](), 0
    for match in [*pattern.finditer(answer), None]:
        end = len(answer) if match is None else match.start()
        if answer[start:end].strip():
            steps.append(Piece(answer[start:end], "step", start))
        start = end if match is None else match.end()
    return steps or [Piece("", "step")]


def with_starts(pieces: Sequence[Piece]) -> Iterable[tuple[int, Piece]]:
    """Each piece with its first character in the whole text."""
    start = 0
    for piece in pieces:
        yield start, piece
        start += len(piece.content)


def end_of(spans: Sequence[Span], start: int, stop: int) -> int | str:
    """The last token that writes these bytes, or what is wrong with them."""
    own = [i for i, (a, b) in enumerate(spans) if a < stop and b > start]
    if not own:
        return "writes no token for"
    if spans[own[0]][0] < start or spans[own[-1]][1] > stop:
        return "writes neighbours into the tokens of"
    return own[-1]


def pattern_of(steps: str) -> re.Pattern[str]:
    """What stands between two steps.

    Raises:
        RecipeError: no regular expression, or one that matches everywhere.
    """
    try:
        pattern = re.compile(steps)
    except re.error as error:
        raise RecipeError(
            f"the pattern between steps is {steps!r}: {error}", expected="a regular expression"
        ) from error
    if pattern.search("") is not None:
        raise RecipeError(f"the pattern between steps is {steps!r}, which is everywhere", expected="one such as \\n\\n")
    return pattern
