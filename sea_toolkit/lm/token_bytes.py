"""What each token writes: the bytes that decoding a text puts one after the other."""

from __future__ import annotations

from typing import Any

from sea_toolkit.errors import ModelError

_TRIALS = ("The rain stopped; it's 5 o'clock, isn't it?", "field fields\n\nFielding: “naïve” café – 10,000 €")


def token_bytes(tokenizer: Any, size: int) -> list[bytes]:
    """Bytes of each of `size` tokens; empty for special tokens, which no reader sees, and for ids without a token.

    Raises:
        ModelError: the tokenizer does not write tokens one after the other (a word-piece tokenizer, for one).
    """
    count = min(size, len(tokenizer))
    words = tokenizer.convert_ids_to_tokens(list(range(count)))
    added = dict(getattr(tokenizer, "added_tokens_decoder", {}))
    special = {*tokenizer.all_special_ids, *(i for i, token in added.items() if token.special)}
    byte_level = any("Ġ" in word for word in words if word)
    spellings = []
    for i, word in enumerate(words):
        if i in special or word is None:
            spellings.append(b"")
        elif i in added:
            spellings.append(str(added[i].content).encode())
        else:
            spellings.append(_byte_level(word) if byte_level else _piece(word))
    _try(tokenizer, spellings)
    return spellings + [b""] * (size - count)


def _try(tokenizer: Any, spellings: list[bytes]) -> None:
    for text in _TRIALS:
        ids = tokenizer(text, add_special_tokens=False).input_ids
        shown = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        written = b"".join(spellings[i] for i in ids).decode(errors="replace")
        if written.strip() != shown.strip():
            raise ModelError(
                f"the tokenizer writes {shown!r} for tokens that read {written!r} one after the other",
                expected="a byte-level or SentencePiece tokenizer",
            )


def _alphabet() -> dict[str, int]:
    """The characters that stand for bytes in a byte-level vocabulary (GPT-2's `bytes_to_unicode`)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in shown]
    return {chr(b): b for b in shown} | {chr(256 + i): b for i, b in enumerate(hidden)}


_BYTES = _alphabet()


def _byte_level(word: str) -> bytes:
    return bytes(_BYTES[c] for c in word) if all(c in _BYTES for c in word) else word.encode()


def _piece(word: str) -> bytes:
    """A SentencePiece token: `▁` is a space, `<0x0A>` a byte."""
    if len(word) == 6 and word.startswith("<0x") and word.endswith(">"):
        return bytes([int(word[3:5], 16)])
    return word.replace("▁", " ").encode()
