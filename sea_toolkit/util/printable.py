"""Text of others, made harmless for a terminal."""

from __future__ import annotations

import re

# DEL and C1 controls, marks that reorder a line, line ends that are none in a file, halves of surrogate pairs
_BEYOND_C0 = r"\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROL = re.compile(rf"[\x00-\x08\x0b-\x1f{_BEYOND_C0}]")  # tab and line feed stay
_JSON_CONTROL = re.compile(f"[{_BEYOND_C0}]")  # JSON escapes the others itself
_NOT_ASCII = re.compile(r"[^\x00-\x7e]")


def printable(text: str, *, one_line: bool = False) -> str:
    r"""The text with control characters as escapes, such as `\x1b` and `\u202e`.

    A terminal obeys such characters: it changes its title, clears itself, or shows a line in another order than it is
    stored. Answers, prompts, names of plugins and models, paths and what errors quote are all written by others.

    Args:
        text: any text.
        one_line: show line feeds and tabs as escapes too, for a cell of a table or a name.
    """
    safe = _CONTROL.sub(lambda found: _escape(found[0]), text)
    return safe.replace("\n", r"\n").replace("\t", r"\t") if one_line else safe


def safe_json(text: str, *, ascii_only: bool) -> str:
    r"""The same JSON, with control characters, or with all that is not ASCII, as `\uXXXX` escapes.

    Args:
        text: JSON; beyond ASCII there is only what its strings hold.
        ascii_only: escape everything that is not ASCII.
    """
    return (_NOT_ASCII if ascii_only else _JSON_CONTROL).sub(lambda found: _json_escape(found[0]), text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))
