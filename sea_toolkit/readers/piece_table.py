"""What each token of the policy is in the vocabulary of another model: the pieces that its text is cut into there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.token_bytes import token_bytes
from sea_toolkit.lm.tokens import middle_of_text

_ROWS = 4096
"""Tokens whose embeddings are averaged at a time."""


@dataclass(frozen=True)
class PieceTable:
    """The pieces of each policy token.

    Special tokens, parts of a character and text that the other tokenizer does not know stand for nothing.

    Attributes:
        pieces: for each id of the policy, ids of the other model; empty where the token stands for nothing.
    """

    pieces: list[list[int]]

    @classmethod
    def between(cls, policy_tokenizer: Any, tokenizer: Any, size: int) -> PieceTable:
        """The table of two tokenizers.

        Args:
            policy_tokenizer: of the tokens.
            tokenizer: that cuts their text into pieces.
            size: ids of the policy.
        """
        words = token_texts(policy_tokenizer, size)
        named = [i for i, word in enumerate(words) if word]
        rows = _cut(tokenizer, [words[i] or "" for i in named])
        pieces: list[list[int]] = [[] for _ in range(size)]
        for i, row in zip(named, rows, strict=True):
            if tokenizer.unk_token_id not in row:
                pieces[i] = row
        return cls(pieces)

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> PieceTable:
        """What `tensors` was made of.

        Raises:
            KeyError: one is missing.
        """
        flat = tensors["pieces"].tolist()
        ends = tensors["piece_counts"].cumsum(0).tolist()
        return cls([flat[start:end] for start, end in pairwise([0, *ends])])

    def tensors(self) -> dict[str, Tensor]:
        """All pieces in a row, and how many each token has; int32."""
        flat = [piece for row in self.pieces for piece in row]
        return {
            "pieces": torch.tensor(flat, dtype=torch.int32),
            "piece_counts": torch.tensor([len(row) for row in self.pieces], dtype=torch.int32),
        }

    @property
    def shares(self) -> tuple[float, float, float]:
        """The shares of the vocabulary that are one piece, several pieces, and nothing."""
        counts = [min(2, len(row)) for row in self.pieces]
        n = len(counts)
        return counts.count(1) / n, counts.count(2) / n, counts.count(0) / n

    def note(self, name: str, road: str = "a bridge") -> str:
        """What a person should know of a model that is read through this table.

        Args:
            name: the model's.
            road: by which its gradient comes.
        """
        whole, parts, nothing = self.shares
        return (
            f"{name} has a tokenizer of its own: its value is exact, its gradient comes through {road} "
            f"({whole:.0%} of the policy's tokens are one of its pieces, {parts:.0%} several, {nothing:.0%} none)"
        )

    def embeddings(self, table: Float[Tensor, "rows D"]) -> Float[Tensor, "V D"]:
        """What each policy token stands for in the other model's embedding: the mean of its pieces.

        A token that stands for nothing gets the mean of all others, so that a gradient neither calls nor forbids it.
        """
        result = table.new_empty(len(self.pieces), table.shape[1])
        for start in range(0, len(self.pieces), _ROWS):
            rows = self.pieces[start : start + _ROWS]
            flat = torch.tensor([i for row in rows for i in row], device=table.device, dtype=torch.long)
            offsets = torch.tensor([0, *map(len, rows[:-1])], device=table.device).cumsum(0)
            bags = torch.nn.functional.embedding_bag(flat, table, offsets, mode="mean")
            result[start : start + len(rows)] = bags
        empty = torch.tensor([not row for row in self.pieces], device=table.device)
        if bool(empty.any()) and not bool(empty.all()):
            result[empty] = result[~empty].float().mean(0).to(table.dtype)
        return result


def token_texts(tokenizer: Any, size: int) -> list[str | None]:
    """What each token writes in the middle of a text; None for parts of characters."""
    try:
        spellings = token_bytes(tokenizer, size)
    except ModelError:  # a word-piece tokenizer: decoding tells
        codec, special = middle_of_text(tokenizer), set(tokenizer.all_special_ids)
        count = min(size, len(tokenizer))
        texts = ["" if i in special else codec.decode([i]) for i in range(count)]
        return [*texts, *[""] * (size - count)]
    words: list[str | None] = []
    for spelling in spellings:
        try:
            words.append(spelling.decode())
        except UnicodeDecodeError:
            words.append(None)
    return words


def _cut(tokenizer: Any, words: Sequence[str]) -> list[list[int]]:
    """The pieces of each word as it stands inside a text."""
    rows = middle_of_text(tokenizer).encode(words)
    prefix = _continuation(tokenizer)
    if prefix is None:
        return rows
    vocabulary = tokenizer.get_vocab()
    normalizer = tokenizer.backend_tokenizer.normalizer
    for i, word in enumerate(words):
        if word[0].isalnum():  # it goes on with a word
            shown = word if normalizer is None else normalizer.normalize_str(word)
            rows[i] = _longest_first(shown, vocabulary, prefix) or rows[i]
    return rows


def _continuation(tokenizer: Any) -> str | None:
    """What stands before the pieces of a word-piece vocabulary that go on with a word, "##"; None for other kinds."""
    if not tokenizer.is_fast:
        return None
    model = tokenizer.backend_tokenizer.model
    return str(model.continuing_subword_prefix) if type(model).__name__ == "WordPiece" else None


def _longest_first(word: str, vocabulary: dict[str, int], prefix: str) -> list[int]:
    """A word-piece tokenizer's cut of what goes on with a word; empty if it has no such pieces."""
    pieces, start = [], 0
    while start < len(word):
        end = next((e for e in range(len(word), start, -1) if prefix + word[start:e] in vocabulary), None)
        if end is None:
            return []
        pieces.append(vocabulary[prefix + word[start:end]])
        start = end
    return pieces
