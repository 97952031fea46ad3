"""Reading docstrings in the Google, NumPy and Sphinx styles: the first line, the prose, the text of each argument."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docstring_parser import Docstring

_TOLD_ELSEWHERE = frozenset({"param", "attribute", "raises", "returns", "yields", "type", "rtype"})
"""Sections that describe a signature; the others, such as NumPy's Notes, are prose."""

_SECTION = re.compile(r"(Args|Arguments|Parameters|Params|Raises|Exceptions|Except|Attributes|Returns|Yields):\s*")
"""The first line of a section in the Google style; what follows is indented."""


def first_line(text: str | None) -> str:
    """The first non-empty line, or an empty string."""
    return next((line.strip() for line in (text or "").splitlines() if line.strip()), "")


def full_doc(target: Any) -> str:
    """The docstring of a function or class, cleaned of its indentation; empty if there is none.

    The constructor's docstring follows the class's; inherited docstrings do not count.
    """
    return "\n\n".join(_docstrings(target))


def argument_docs(target: Any) -> dict[str, str]:
    """Parameter name to its text, on one line."""
    return {
        entry.arg_name.lstrip("*"): " ".join((entry.description or "").split())
        for text in _docstrings(target)
        for entry in _parsed(text).params
        if entry.args[0] == "param"
    }


def prose(target: Any) -> str:
    """The docstring without its sections on arguments, results and errors; one line for each paragraph.

    Indented lines, such as formulas, and lists keep their lines.
    """
    return "\n\n".join(_paragraph(part) for text in _docstrings(target) for part in _prose_paragraphs(text))


def _docstrings(target: Any) -> list[str]:
    own = target.__doc__ if isinstance(getattr(target, "__doc__", None), str) else ""
    if isinstance(target, functools.partial) and own == functools.partial.__doc__:
        return _docstrings(target.func)
    if dataclasses.is_dataclass(target) and str(own).startswith(f"{_class_of(target).__name__}("):
        own = ""  # the signature, which dataclasses write where there is no docstring
    texts = [inspect.cleandoc(own or "")]
    if inspect.isclass(target):
        constructor = vars(target).get("__init__")
        if inspect.isfunction(constructor) and constructor.__doc__:
            texts.append(inspect.cleandoc(constructor.__doc__))
    return [text for text in texts if text]


def _class_of(target: Any) -> type:
    return target if inspect.isclass(target) else type(target)


def _parsed(text: str) -> Docstring:
    from docstring_parser import Docstring, ParseError, parse

    try:
        return parse(text)
    except ParseError:  # in no style: all of it is prose
        prose_only = Docstring()
        prose_only.long_description = text
        return prose_only


def _prose_paragraphs(text: str) -> Iterator[str]:
    parsed = _parsed(_without_google_sections(text))
    separate = parsed.blank_after_short_description or not parsed.long_description
    head = [parsed.short_description or "", parsed.long_description or ""]
    yield from re.split(r"\n\s*\n", ("\n\n" if separate else "\n").join(part for part in head if part))
    for entry in parsed.meta:
        if entry.args and entry.args[0] not in _TOLD_ELSEWHERE and entry.description:
            yield f"{entry.args[0].replace('_', ' ').capitalize()}: {entry.description}"


def _without_google_sections(text: str) -> str:
    """The docstring without the sections of the Google style. The parser adds all following text to a section; here a
    section ends where its indentation ends."""
    kept, inside = [], False
    for line in text.splitlines():
        if _SECTION.fullmatch(line):
            inside = True
        elif line.strip() and not line[0].isspace():
            inside = False
        if not inside:
            kept.append(line)
    return "\n".join(kept)


def _paragraph(text: str) -> str:
    lines = text.splitlines()
    as_written = any(line[:1].isspace() or re.match(r"([-*•]|\d+\.) ", line) for line in lines)
    return "\n".join(lines).rstrip() if as_written else " ".join(line.strip() for line in lines)
