"""A prefix for models whose past cannot be shared between answers: it is kept as embeddings, and read again.

Keys and values can be cut, copied and dropped token by token. The running state of a state-space or linear-attention
layer cannot, and it must not see padding. For such models rows are not padded on the left: tokens stand at the start of
their row, and what follows them cannot change them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Embedded:
    """Rows of tokens, as embeddings.

    Attributes:
        embeds: `[rows, S, D]`.
        mask: `[rows, S]`, true on tokens; padding is on the left.
    """

    embeds: Float[Tensor, "rows S D"]
    mask: Bool[Tensor, "rows S"]

    def select(self, rows: Int[Tensor, " n"]) -> Embedded:
        """The given rows in that order."""
        return Embedded(self.embeds[rows], self.mask[rows])

    def repeat(self, times: int) -> Embedded:
        """Each row that many times."""
        return Embedded(self.embeds.repeat_interleave(times, 0), self.mask.repeat_interleave(times, 0))


@dataclass
class Running:
    """The model's own state after rows of one length.

    Attributes:
        rows: which rows of the batch.
        state: a transformers cache.
    """

    rows: Int[Tensor, " n"]
    state: Any


class RereadCache:
    """Tokens so far, and the model's running states as long as they fit: until one takes tokens back.

    Args:
        before: the tokens before those to come.
    """

    def __init__(self, before: Embedded) -> None:
        self.embeds, self.mask = before.embeds, before.mask
        self.running: list[Running] = []

    def append(self, embeds: Float[Tensor, "rows n D"]) -> None:
        """Add tokens to all rows."""
        self.embeds = torch.cat([self.embeds, embeds], 1)
        self.mask = torch.nn.functional.pad(self.mask, (0, embeds.shape[1]), value=True)

    def crop(self, length: int) -> None:
        """Keep the first `length` places of each row."""
        if length < self.embeds.shape[1]:
            self.embeds, self.mask, self.running = self.embeds[:, :length], self.mask[:, :length], []

    def keep_rows(self, rows: Int[Tensor, " n"]) -> None:
        """Drop the other rows."""
        self.embeds, self.mask = self.embeds[rows], self.mask[rows]
        kept = []
        for group in self.running:
            place = {row: i for i, row in enumerate(group.rows.tolist())}
            pairs = [(new, place[old]) for new, old in enumerate(rows.tolist()) if old in place]
            if pairs:
                new_rows, old_places = torch.tensor(pairs, device=rows.device).unbind(1)
                group.state.reorder_cache(old_places)
                kept.append(Running(new_rows, group.state))
        self.running = kept
