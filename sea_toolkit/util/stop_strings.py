"""Strings at which an answer ends, as clients of servers and evaluations give them."""

from __future__ import annotations

from collections.abc import Sequence


def before_stops(text: str, stops: Sequence[str]) -> str:
    """The text before the first of the stop strings; all of it where none is there."""
    return text[: min((text.index(stop) for stop in stops if stop and stop in text), default=len(text))]
