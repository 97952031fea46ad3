"""Text ↔ token ids at a place in a text.

A tokenizer is made for whole texts: SentencePiece ones write a space in front of them and drop it again in decoding.
An answer continues a prompt. So it is put after an anchor, a short text with which it does not merge, and the tokens
after the anchor are taken. Byte-level tokenizers need no anchor, and word-piece ones cannot use one: they drop all
spaces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_ANCHORS = (":", ".", ">", ")", "1", "\n", "a")
_PROBES = ("a", " a", "The", " the")
_OPENINGS = ("a", "The", "I", "1", "No")
_TAIL = 256
"""Characters of a context that decide how it goes on."""


@dataclass(frozen=True)
class _Anchor:
    """A text, what its ids are decoded to, and the ids."""

    text: str
    shown: str
    ids: tuple[int, ...]


@dataclass(frozen=True)
class TextCodec:
    """Text to token ids and back, at one place.

    Attributes:
        tokenizer: of the model.
        anchors: texts that an answer may be put after, the best one first; empty where it is read as if it stood alone.
    """

    tokenizer: Any
    anchors: tuple[_Anchor, ...] = field(default=(), repr=False)

    def encode(self, texts: Sequence[str], *, special: bool = False) -> list[list[int]]:
        """Token ids of each text, without special tokens around it.

        Args:
            texts: what to cut.
            special: whether a text that spells "<eos>" gets that token; an answer does not.
        """
        rows: list[list[int]] = [[] for _ in texts]
        left = [i for i, text in enumerate(texts) if text]
        for anchor in self.anchors:
            whole = _ids(self.tokenizer, [anchor.text + texts[i] for i in left], special)
            merged = []
            for i, ids in zip(left, whole, strict=True):
                if tuple(ids[: len(anchor.ids)]) == anchor.ids:
                    rows[i] = ids[len(anchor.ids) :]
                else:
                    merged.append(i)
            left = merged
            if not left:
                return rows
        for i, ids in zip(left, _ids(self.tokenizer, [texts[i] for i in left], special), strict=True):
            rows[i] = ids
        return rows

    def decode(self, ids: Sequence[int], *, special: bool = False) -> str:
        """Text of token ids.

        Args:
            ids: of an answer.
            special: whether special tokens are spelled out rather than stripped.
        """
        for anchor in self.anchors:
            shown = _text(self.tokenizer, [*anchor.ids, *ids], special)
            if shown.startswith(anchor.shown):
                return shown[len(anchor.shown) :]
        return _text(self.tokenizer, ids, special)


def start_of_text(tokenizer: Any) -> TextCodec:
    """For texts at the start of the input."""
    return TextCodec(tokenizer)


def middle_of_text(tokenizer: Any) -> TextCodec:
    """For texts after others, none of which ends with a special token.

    Where the tokenizer cuts a text alone as it cuts it after another, texts are read alone, which costs least.
    """
    glued, spaced = _ids(tokenizer, [":a", ": a"])
    if glued == spaced:  # a word-piece tokenizer writes no spaces
        return TextCodec(tokenizer)
    anchors = tuple(anchor for anchor in (_anchor(tokenizer, text) for text in _ANCHORS) if anchor is not None)
    codec = TextCodec(tokenizer, anchors)
    alone = _ids(tokenizer, _PROBES)
    return TextCodec(tokenizer) if not anchors or codec.encode(_PROBES) == alone else codec


def after_context(tokenizer: Any, context: str) -> TextCodec:
    """For texts after a context, in which special tokens may be spelled out.

    Some tokenizers write their space after a special token too (`<|assistant|>`, then `▁Hi` for "Hi"): a text there is
    cut as if it stood alone. Where text and context would merge into one token, the text is cut as after any other: the
    context's tokens are fixed already.
    """
    middle = middle_of_text(tokenizer)
    if not middle.anchors:
        return middle
    tail = context[-_TAIL:]
    if not tail:
        return start_of_text(tokenizer)
    before = tokenizer(tail, add_special_tokens=False).input_ids
    for opening, alone, inside in zip(_OPENINGS, _ids(tokenizer, _OPENINGS), middle.encode(_OPENINGS), strict=True):
        whole = tokenizer(tail + opening, add_special_tokens=False).input_ids
        if alone != inside and whole[: len(before)] == before and whole[len(before) :] in (alone, inside):
            return start_of_text(tokenizer) if whole[len(before) :] == alone else middle
    return middle


def wrapping(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The special tokens that a text is wrapped in: [CLS] and [SEP], or <s>, or </s> at the end alone."""
    inner = tokenizer("a", add_special_tokens=False).input_ids
    whole = tokenizer("a").input_ids
    at = next(i for i in range(len(whole)) if whole[i : i + len(inner)] == inner)
    return list(whole[:at]), list(whole[at + len(inner) :])


def opened(tokenizer: Any, text: str) -> list[int]:
    """A text to be continued: it begins with the token that opens texts, once, and lacks the one that ends them."""
    opening, _ = wrapping(tokenizer)
    ids = tokenizer(text, add_special_tokens=False).input_ids if text else []
    return ids if opening and ids[: len(opening)] == opening else [*opening, *ids]


def _anchor(tokenizer: Any, text: str) -> _Anchor | None:
    """The text as an anchor, if texts after it are decoded unchanged, with their leading space or without."""
    ids = _ids(tokenizer, [text])[0]
    shown = _text(tokenizer, ids)
    if not ids or not shown or tokenizer.unk_token_id in ids:
        return None
    for probe in _PROBES[:2]:
        whole = _ids(tokenizer, [text + probe])[0]
        if whole[: len(ids)] != ids or _text(tokenizer, whole) != shown + probe:
            return None
    return _Anchor(text, shown, tuple(ids))


def _ids(tokenizer: Any, texts: Sequence[str], special: bool = False) -> list[list[int]]:
    if not texts:
        return []
    batch = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=not special)
    rows: list[list[int]] = batch.input_ids
    return rows


def _text(tokenizer: Any, ids: Sequence[int], special: bool = False) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=not special, clean_up_tokenization_spaces=False))
