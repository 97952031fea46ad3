"""Which bytes of a text each of its tokens writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.token_bytes import token_bytes

Span: TypeAlias = tuple[int, int]
"""First byte of a text's UTF-8 form, and the byte after the last; equal where a token writes nothing of its own."""


class TokenSpans:
    """The spans of tokens in the text that they are decoded to.

    A byte-level or SentencePiece vocabulary spells a text byte by byte, and so each byte has its token, also where one
    character is written by several. What other tokenizers write is told by decoding one token more at a time.

    Args:
        tokenizer: of the ids.
        decode: from ids to their text.
    """

    def __init__(self, tokenizer: Any, decode: Callable[[Sequence[int]], str]) -> None:
        self.decode = decode
        self.spellings: list[bytes] | None
        try:
            self.spellings = token_bytes(tokenizer, len(tokenizer))
        except ModelError:
            self.spellings = None

    def of(self, ids: Sequence[int], text: str) -> list[Span]:
        """The span of each token.

        Args:
            ids: of the text, without tokens that no reader sees.
            text: what they are decoded to, or a text that is cut into them.
        """
        if self.spellings is not None:
            spans = _spelled([self.spellings[i] if i < len(self.spellings) else b"" for i in ids], text)
            if spans is not None:
                return spans
        return _decoded(self.decode, ids, text)


def character_spans(offsets: Sequence[tuple[int, int]], text: str) -> list[Span]:
    """Spans in bytes of spans in characters, as fast tokenizers give them."""
    at = [0]
    for character in text:
        at.append(at[-1] + len(character.encode("utf-8", "surrogatepass")))
    return [(at[min(start, len(text))], at[min(end, len(text))]) for start, end in offsets]


def _spelled(spellings: Sequence[bytes], text: str) -> list[Span] | None:
    """Spans by what each token spells, or None if that is not the text."""
    raw = b"".join(spellings)
    shown, at = _places(raw)
    if shown == text:
        dropped = 0
    elif shown.lstrip(" ") == text.lstrip(" ") and len(shown) > len(text):  # SentencePiece drops its own space
        dropped = len(shown) - len(text)
    else:
        return None
    spans, end = [], 0
    for spelling in spellings:
        start, end = end, end + len(spelling)
        spans.append((max(0, at[start] - dropped), max(0, at[end] - dropped)))
    return spans


def _places(raw: bytes) -> tuple[str, list[int]]:
    """What bytes are decoded to, bad ones replaced, and where in its UTF-8 form each of them (and their end) stands."""
    at, parts, done = [0], [], 0
    while done < len(raw):
        first = raw[done]
        width = 1 if first < 0xC0 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4
        chunk = raw[done : done + width]
        try:
            parts.append(chunk.decode())
        except UnicodeDecodeError as error:
            width = error.end
            parts.append("\ufffd")
        size, start = len(parts[-1].encode()), at[-1]
        at += [start + size * (i + 1) // width for i in range(width)]
        done += width
    return "".join(parts), at


def _decoded(decode: Callable[[Sequence[int]], str], ids: Sequence[int], text: str) -> list[Span]:
    """Spans by how much of the text the first n tokens give, for each n."""
    ends = [0]
    for n in range(1, len(ids) + 1):
        shown = decode(ids[:n])
        common = next((i for i, (a, b) in enumerate(zip(shown, text, strict=False)) if a != b), len(shown))
        ends.append(min(max(ends[-1], common), len(text)))
    return character_spans(list(pairwise(ends)), text)
