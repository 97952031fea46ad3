"""Reading Google-style docstrings: the first line, and the lines under `Args:`."""

from __future__ import annotations

import inspect
import re
from typing import Any

_ENTRY = re.compile(r"^(\*{0,2}\w+)\s*(?:\([^)]*\))?:\s*(.*)$")


def first_line(text: str | None) -> str:
    """The first non-empty line, or an empty string."""
    return next((line.strip() for line in (text or "").splitlines() if line.strip()), "")


def full_doc(target: Any) -> str:
    """The docstring of a function or class, cleaned of its indentation; empty if there is none.

    The constructor's docstring follows the class's; an inherited one is not taken for its own.
    """
    own = target.__doc__ if isinstance(getattr(target, "__doc__", None), str) else ""
    parts = [inspect.cleandoc(own or "")]
    if inspect.isclass(target):
        constructor = vars(target).get("__init__")
        if inspect.isfunction(constructor) and constructor.__doc__:
            parts.append(inspect.cleandoc(constructor.__doc__))
    return "\n\n".join(part for part in parts if part)


def argument_docs(target: Any) -> dict[str, str]:
    """Parameter name to its text under `Args:`, continuation lines joined."""
    docs: dict[str, str] = {}
    inside, depth, entry_indent, current = False, 0, 0, ""
    for line in full_doc(target).splitlines():
        text = line.strip()
        if text in ("Args:", "Arguments:"):
            inside, depth, current = True, len(line) - len(line.lstrip()), ""
            continue
        indent = len(line) - len(line.lstrip())
        if not inside or not text:
            continue
        if indent <= depth:
            inside = False
            continue
        entry = _ENTRY.match(text)
        if entry and (not current or indent <= entry_indent):
            current, entry_indent = entry.group(1).lstrip("*"), indent
            docs[current] = entry.group(2)
        elif current:
            docs[current] = f"{docs[current]} {text}".strip()
    return docs
