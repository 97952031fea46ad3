"""Work on texts within a limit of processor time: a pattern or a schema may need exponential time for a few of them."""

from __future__ import annotations

import re
import time

import regex

SECONDS = 0.5
"""Processor time for one text."""

_APPROXIMATE = re.compile(r"(\\.)|\{(?=\s*(?:\d+\s*<=?\s*)?[desi]\s*[<,+:}\d])", re.DOTALL)
"""A brace at which the package `regex` would begin to match approximately; escaped characters are passed over."""


LONGEST = 100_000
"""Characters of a pattern with its repetitions written out, which is how `regex` keeps it in memory."""

_PIECES = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(\d+)(?:,\d*)?\}|.", re.DOTALL)
"""An escape, a set, a repetition, or a character."""


class Pattern:
    """A regular expression in Python's syntax, matched by the package `regex`, which can be told to stop.

    Attributes:
        text: the expression.

    Raises:
        ValueError: it is none.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            re.compile(text)
            if _written_out(text) > LONGEST:
                raise ValueError(f"with its repetitions written out it has more than {LONGEST} characters")
            exact = _APPROXIMATE.sub(lambda found: found[1] or r"\{", text)
            self._compiled = regex.compile(exact, regex.VERSION0)
        except (re.error, regex.error, RecursionError, OverflowError) as error:
            raise ValueError(str(error) or type(error).__name__) from error

    def search(self, text: str) -> bool:
        """Whether the pattern is somewhere in the text.

        Raises:
            TimeoutError: it takes longer than `SECONDS`.
        """
        return self._compiled.search(text, timeout=SECONDS) is not None

    def fullmatch(self, text: str) -> bool:
        """Whether the pattern is the whole text; raises as `search`."""
        return self._compiled.fullmatch(text, timeout=SECONDS) is not None

    def count(self, text: str) -> int:
        """How many matches there are that do not overlap; raises as `search`."""
        return sum(1 for _ in self._compiled.finditer(text, timeout=SECONDS))


def _written_out(pattern: str) -> int:
    """How many characters a pattern has about, with its repetitions written out."""
    open_groups = [(0, 0)]  # of each: the size so far, and that of its last part
    for piece in _PIECES.finditer(pattern):
        size, last = open_groups[-1]
        if piece[1] is not None:
            times = max(1, int(piece[1]))
            open_groups[-1] = size + last * (times - 1), last * times
        elif piece[0] == "(":
            open_groups.append((0, 0))
        elif piece[0] == ")" and len(open_groups) > 1:
            open_groups.pop()
            before, _ = open_groups[-1]
            open_groups[-1] = before + size, size
        else:
            open_groups[-1] = size + 1, 1
    return open_groups[0][0]


class Deadline:
    """A limit for work in many small parts, each of which asks whether to go on."""

    def __init__(self) -> None:
        self._end = 0.0

    def start(self) -> None:
        """Begin with `SECONDS`."""
        self._end = time.thread_time() + SECONDS

    def check(self) -> None:
        """Raises: TimeoutError if the time is over."""
        if time.thread_time() > self._end:
            raise TimeoutError


class Unjudged:
    """Texts that could not be judged, counted in one note for the result.

    Attributes:
        notes: what a person should know; empty as long as there is none.

    Args:
        energy: its name.
        cost: what such a text costs, in words.
    """

    def __init__(self, energy: str, cost: str) -> None:
        self.notes: list[str] = []
        self._energy, self._cost, self._texts = energy, cost, 0

    def add(self) -> None:
        """Count a text."""
        self._texts += 1
        texts = "1 text" if self._texts == 1 else f"{self._texts} texts"
        self.notes[:] = [
            f"{self._energy}: {texts} could not be judged (in {SECONDS:g} s at most), and cost {self._cost}"
        ]
