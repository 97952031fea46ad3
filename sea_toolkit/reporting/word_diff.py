"""Which words of two texts are not in the other, in order."""

from __future__ import annotations

import difflib
import re

Piece = tuple[str, bool]
"""A part of a text, and whether it is not in the other text."""


def word_diff(before: str, after: str) -> tuple[list[Piece], list[Piece]]:
    """Both texts in pieces; joined, the pieces are the texts."""
    old, new = re.findall(r"\S+\s*|\s+", before), re.findall(r"\S+\s*|\s+", after)
    matcher = difflib.SequenceMatcher(None, [w.strip() for w in old], [w.strip() for w in new], autojunk=False)
    first: list[Piece] = []
    second: list[Piece] = []
    for kind, i, j, k, m in matcher.get_opcodes():
        first += [("".join(old[i:j]), kind != "equal")] if j > i else []
        second += [("".join(new[k:m]), kind != "equal")] if m > k else []
    return first, second


def marked_diff(before: str, after: str) -> str:
    """The change on one line for where there are no colors: `I [-was-] {+am+} fine`."""
    old, new = before.split(), after.split()
    words: list[str] = []
    for kind, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            words += new[k:m]
            continue
        words += [f"[-{' '.join(old[i:j])}-]"] if j > i else []
        words += [f"{{+{' '.join(new[k:m])}+}}"] if m > k else []
    return " ".join(words)
