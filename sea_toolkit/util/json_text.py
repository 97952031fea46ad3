"""JSON, of which every fault is a ValueError."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str | bytes, *, each_key_once: bool = False) -> Any:
    """What a JSON text holds.

    Args:
        text: of a file or a line of it.
        each_key_once: refuse a key that an object has twice, of which JSON keeps the last; for what people write.

    Raises:
        ValueError: it is not JSON, not UTF-8, or nested deeper than Python's parser goes.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique if each_key_once else None)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return table
