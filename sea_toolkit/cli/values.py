"""Values on the command line: those of TOML, and texts, lists and tables whose words need no quotation marks.

A shell takes quotation marks away, and most values are single words. Thus `words=["rain", 'sun']`, `words=[rain,sun]`
and `weight={schedule=linear,start=1,end=0}` all say what they seem to.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

from sea_toolkit.errors import RecipeError, shortened

_CLOSING = {"[": "]", "{": "}"}
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=(.*)", re.DOTALL)


def value_of(text: str, where: str) -> Any:
    """A TOML value, a list or table of such values, else the text itself.

    Args:
        text: what stands behind `=`.
        where: the flag and its argument, for messages.

    Raises:
        RecipeError: a quotation mark or a bracket is not closed, a key of a table is there twice, or the value is
            nested too deep.
    """
    text = text.strip()
    try:
        return _value(text, where)
    except RecursionError:
        raise RecipeError(f"{where}: the value is nested too deep", expected="a value of a recipe") from None


def table_of(parts: list[str], where: str, example: str) -> dict[str, Any]:
    """`KEY=VALUE` parts as a table.

    Args:
        parts: between commas; see `split`.
        where: as for `value_of`.
        example: of a part that is right.

    Raises:
        RecipeError: a part is something else, a key is there twice, or as `value_of`.
    """
    table: dict[str, Any] = {}
    for part in parts:
        matched = _KEY.fullmatch(part)
        if matched is None:
            raise RecipeError(
                f"{where}: {shortened(part)!r} is no option",
                expected=f"OPTION=VALUE, as in {example}",
                hint="a text with commas stands in quotation marks, inside those of the shell: 'text=\"a, b\"'",
            )
        key, value = matched.groups()
        if key in table:
            raise RecipeError(f"{where}: {key!r} is there twice", expected="each option once")
        table[key] = value_of(value, where)
    return table


def split(text: str, where: str) -> list[str]:
    """The parts between the commas that stand outside of quotation marks and brackets.

    Quotation marks and brackets open at the beginning of a value only: `it's` is a word, and `(a[b]` a pattern.

    Raises:
        RecipeError: one of them is not closed.
    """
    parts, start, at, fresh = [], 0, 0, True
    while at < len(text):
        character = text[at]
        if character == ",":
            parts.append(text[start:at])
            start, fresh = at + 1, True
        elif fresh and character in "\"'":
            at = _end_of_quotation(text, at, where) - 1
            fresh = False
        elif fresh and character in _CLOSING:
            at = _end_of_brackets(text, at, where) - 1
            fresh = False
        elif character == "=":
            fresh = True
        elif not character.isspace():
            fresh = False
        at += 1
    return [*parts, text[start:]]


def _value(text: str, where: str) -> Any:
    found, value = _toml(text)
    if found:
        return value
    opening = text[:1]
    if opening and opening in "\"'":
        raise RecipeError(
            f"{where}: {shortened(text)} is no text of TOML",
            expected="a text in quotation marks, or without any",
            hint=r"a backslash is doubled between double ones: 'C:\new' or \"C:\\new\"",
        )
    if opening in _CLOSING and text.endswith(_CLOSING[opening]) and _end_of_brackets(text, 0, where) == len(text):
        parts = split(text[1:-1], where)
        if opening == "[":
            entries = parts if parts[-1].strip() else parts[:-1]  # as in TOML, a comma may stand at the end
            if not all(entry.strip() for entry in entries):
                raise RecipeError(f"{where}: {shortened(text)} has an empty entry", expected="values between commas")
            return [value_of(entry, where) for entry in entries]
        if all(map(_KEY.fullmatch, parts)):
            return table_of(parts, where, "start=1")
    return text


def _toml(text: str) -> tuple[bool, Any]:
    """Whether it is a TOML value, and which. Between brackets, so that nothing behind the value is lost."""
    try:
        values = tomllib.loads(f"value = [{text}]")["value"]
    except ValueError:  # a number of thousands of digits is a ValueError that tomllib does not catch
        return False, None
    return (True, values[0]) if len(values) == 1 and not text.endswith(",") else (False, None)


def _end_of_quotation(text: str, at: int, where: str) -> int:
    """The place behind the closing quotation mark of the one at `at`."""
    mark = text[at] * 3 if text.startswith(text[at] * 3, at) else text[at]
    place = at + len(mark)
    while place < len(text):
        if text.startswith(mark, place):
            return place + len(mark)
        place += 2 if text[at] == '"' and text[place] == "\\" else 1
    raise RecipeError(f"{where}: the quotation mark {text[at]} is not closed", expected="a second one")


def _end_of_brackets(text: str, at: int, where: str) -> int:
    """The place behind the bracket that closes the one at `at`; those in quotation marks do not count."""
    open_, place, fresh = [text[at]], at + 1, True
    while place < len(text):
        character = text[place]
        if fresh and character in "\"'":
            place = _end_of_quotation(text, place, where)
            fresh = False
            continue
        if character in _CLOSING:
            open_.append(character)
        elif character == _CLOSING[open_[-1]]:
            open_.pop()
            if not open_:
                return place + 1
        fresh = character in ",=[{" or (fresh and character.isspace())
        place += 1
    raise RecipeError(
        f"{where}: the bracket {text[at]} is not closed",
        expected=f"a {_CLOSING[text[at]]!r}",
        hint="a text that begins with a bracket stands in quotation marks",
    )
