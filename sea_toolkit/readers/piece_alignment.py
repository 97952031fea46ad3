"""A run's responses as another model reads them: its own pieces of their text, which follow what the tokens become."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.lm.policy import Policy
from sea_toolkit.lm.spans import Span
from sea_toolkit.readers.placed_text import PlacedAnswer


class PieceAlignment:
    """From the policy's tokens to the pieces of another tokenizer that write the same bytes.

    Args:
        policy: whose tokens the responses have.
        table: what each of them stands for in the other model's embedding (`PieceTable.embeddings`).
    """

    def __init__(self, policy: Policy, table: Float[Tensor, "V D"]) -> None:
        self.policy, self.table = policy, table

    def change(self, response: SoftResponse) -> Float[Tensor, "N T D"] | None:
        """What each position has become, less its most probable token; None for a text whose gradient nobody asks."""
        if is_text(response):
            return None
        return (response.embed(self.table) - torch.nn.functional.embedding(response.ids, self.table)).flatten(0, 1)

    def embeds(
        self,
        response: SoftResponse,
        texts: Sequence[str],
        placed: Sequence[PlacedAnswer | None],
        change: Float[Tensor, "N T D"],
        embedding: Callable[[Tensor], Tensor],
    ) -> tuple[Float[Tensor, "N S D"], Bool[Tensor, "N S"]]:
        """The pieces of N = P · C texts, moved by what each position has become, and where there is one.

        A text without pieces, or one that is too long (None), gets one position.

        Args:
            response: whose tokens write the texts.
            texts: see `texts_of`.
            placed: the pieces of the whole text that each answer stands in.
            change: see `change`.
            embedding: of the other model.
        """
        return moved(placed, self.shares(response, texts, placed), change, embedding)

    def shares(
        self, response: SoftResponse, texts: Sequence[str], placed: Sequence[PlacedAnswer | None]
    ) -> Float[Tensor, "N S T"]:
        """The share of each piece of the N texts that each position of the response writes; see `embeds`."""
        rows, ids = _read(response), response.ids.flatten(0, 1)
        shares = self.table.new_zeros(len(texts), _width(placed), ids.shape[1])
        for n, answer in enumerate(placed):
            if answer is not None and answer.ids:
                spans = self.policy.spans.of([int(ids[n, t]) for t in rows[n]], texts[n])
                shares[n, : len(answer.ids), rows[n]] = overlaps(answer.spans, spans).to(shares)
        return shares


def moved(
    placed: Sequence[PlacedAnswer | None],
    shares: Float[Tensor, "N S T"],
    change: Float[Tensor, "N T D"],
    embedding: Callable[[Tensor], Tensor],
) -> tuple[Float[Tensor, "N S D"], Bool[Tensor, "N S"]]:
    """The pieces of N texts, moved by what the positions that write them have become; see `PieceAlignment.embeds`."""
    pieces = torch.zeros(len(placed), _width(placed), dtype=torch.long, device=change.device)
    mask = pieces > 0
    for n, answer in enumerate(placed):
        ids = [] if answer is None else answer.ids
        pieces[n, : len(ids)] = torch.tensor(ids, device=change.device, dtype=torch.long)
        mask[n, : max(1, len(ids))] = True
    return embedding(pieces) + shares.to(change) @ change, mask


def _width(placed: Sequence[PlacedAnswer | None]) -> int:
    """Pieces of the longest text."""
    return max(1, *(0 if answer is None else len(answer.ids) for answer in placed))


def texts_of(response: SoftResponse, policy: Policy) -> list[str]:
    """The texts of the P · C responses; of relaxed ones, those of the most probable tokens."""
    if response.texts is not None:
        return [text for row in response.texts for text in row]
    ids = response.ids.flatten(0, 1).tolist()
    return [policy.decode([row[t] for t in at]) for row, at in zip(ids, _read(response), strict=True)]


def is_text(response: SoftResponse) -> bool:
    """Whether every position is one token, and no gradient is asked for."""
    hard = response.candidates is not None and response.candidates.shape[-1] == 1
    tapped = response.taps is not None and torch.is_grad_enabled()
    return hard and not tapped and not response.weights.requires_grad


def _read(response: SoftResponse) -> list[list[int]]:
    """For each of the P · C responses the positions that have a token which a person reads."""
    content = (response.content > 0.5).flatten(0, 1)
    return [mask.nonzero().flatten().tolist() for mask in content]


def overlaps(pieces: Sequence[Span], tokens: Sequence[Span]) -> Float[Tensor, "S T"]:
    """The share of each piece that each token writes."""
    piece, token = (torch.tensor(spans, dtype=torch.float32).reshape(-1, 2) for spans in (pieces, tokens))
    first = torch.maximum(piece[:, None, 0], token[None, :, 0])
    last = torch.minimum(piece[:, None, 1], token[None, :, 1])
    return (last - first).clamp(min=0) / (piece[:, 1] - piece[:, 0]).clamp(min=1)[:, None]
