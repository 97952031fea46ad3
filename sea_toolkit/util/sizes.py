"""Amounts of memory as people write them: `4GiB`, `500 MB`."""

from __future__ import annotations

import math
import re

from sea_toolkit.errors import RecipeError

MEMORY_LIMIT = "SEA_MEMORY_LIMIT"
"""The environment variable that says how much memory a process may use: it belongs to a machine, not to a recipe."""

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
UNITS |= {"TiB": 2**40}
_BY_NAME = {name.lower(): size for name, size in UNITS.items()}


def bytes_of(size: str | float, what: str) -> int:
    """The bytes of an amount of memory.

    Args:
        size: a number with a unit, or a number of bytes.
        what: for messages.

    Raises:
        RecipeError: it is no amount above 0.
    """
    found = _parsed(size)
    if found is None or not 1 <= found < math.inf:
        raise RecipeError(f"{what} is {size!r}", expected="an amount of memory, such as 4GiB, 500MB or 3.5GiB")
    return int(found)


def _parsed(size: str | float) -> float | None:
    if not isinstance(size, str):
        return float(size) if isinstance(size, int | float) and not isinstance(size, bool) else None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([A-Za-z]*)\s*", size, re.ASCII)
    unit = None if match is None else _BY_NAME.get(match[2].lower() or "b")
    return None if match is None or unit is None else float(match[1]) * unit


def in_words(size: float) -> str:
    """So many bytes, rounded, in the largest binary unit below them."""
    name = next((name for name in ("TiB", "GiB", "MiB", "KiB") if size >= UNITS[name]), "B")
    return f"{size / UNITS[name]:.3g} {name}"
