"""Answers behind their contexts, as an encoder reads them: without gaps, padded on the right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sea_toolkit.readers.placed_text import Ids


@dataclass(frozen=True)
class EncoderRows:
    """N = P · C rows.

    Attributes:
        embeds: of context and answer.
        mask: 1 where there is a token, 0 for the padding at the end.
        types: token types.
    """

    embeds: Float[Tensor, "N T D"]
    mask: Int[Tensor, "N T"]
    types: Int[Tensor, "N T"]

    @classmethod
    def joined(
        cls,
        embeds: Float[Tensor, "P C t D"],
        mask: Bool[Tensor, "P C t"],
        types: Int[Tensor, "P C t"],
        before: Sequence[Ids],
        embedding: Callable[[Tensor], Tensor],
    ) -> EncoderRows:
        """Each answer behind the context of its prompt. Positions that are masked leave no gap: an encoder counts along
        the row.

        Args:
            embeds: of the answers.
            mask: false where there is no token.
            types: token types of the answers; those of the contexts are 0.
            before: per prompt, the ids of the context; empty for none.
            embedding: of the encoder.
        """
        p, c = mask.shape[:2]
        before = before or [[]] * p
        width = max(map(len, before))
        rows, masks, kinds = [], [], []
        for i, ids in enumerate(before):
            head = embedding(torch.tensor(ids, device=embeds.device, dtype=torch.long)).expand(c, -1, -1)
            none = types.new_zeros(c, width - len(ids))
            # padding goes to the right end, where an encoder's own position ids do not see it
            rows.append(torch.cat([head, embeds[i], embeds.new_zeros(*none.shape, embeds.shape[-1])], 1))
            masks.append(torch.cat([torch.ones_like(head[..., 0]) > 0, mask[i], none > 0], 1))
            kinds.append(torch.cat([types.new_zeros(c, len(ids)), types[i], none], 1))
        seen = torch.cat(masks)
        order = (~seen).long().argsort(dim=-1, stable=True)
        whole = torch.cat(rows)
        return cls(
            whole.gather(1, order[..., None].expand_as(whole)),
            seen.gather(1, order).long(),
            torch.cat(kinds).gather(1, order),
        )

    def each(self) -> list[EncoderRows]:
        """The rows one by one, without padding."""
        lengths = self.mask.sum(-1).clamp(min=1).tolist()
        at = [(slice(i, i + 1), slice(n)) for i, n in enumerate(lengths)]
        return [EncoderRows(self.embeds[one], self.mask[one], self.types[one]) for one in at]
