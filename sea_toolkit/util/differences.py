"""What differs between two tables of plain data."""

from __future__ import annotations

from typing import Any


def differences(then: dict[str, Any], now: dict[str, Any], path: str = "") -> list[str]:
    """What changed from one table to another, one line each."""
    lines = []
    for key in sorted(set(then) | set(now)):
        a, b, where = then.get(key), now.get(key), f"{path}{key}"
        if isinstance(a, dict) and isinstance(b, dict):
            lines += differences(a, b, f"{where}.")
        elif a != b:
            lines.append(f"{where}: {_short(a)} then, {_short(b)} now")
    return lines


def _short(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 40 else text[:12] + "…"
