"""A sequence classifier with a tokenizer of its own: the exact value of the text, and a gradient through a bridge.

The policy's tokens y_1 … y_T spell a text, which the classifier's tokenizer cuts into pieces u_1 … u_S. The classifier
is fed

    e_s = E[u_s] + Σ_t A[s, t] · (x_t − Ẽ[y_t]),      x_t = Σ_v p_t(v) Ẽ[v]

with E its embedding, Ẽ the bridge table (`PieceTable`) and A[s, t] the share of piece s that token t writes. At a text,
x_t = Ẽ[y_t]: the value is that of the model's own forward pass. The gradient with respect to p_t(v) is
⟨Σ_s A[s, t] ∂r/∂e_s, Ẽ[v]⟩, to first order in what a token stands for. Where an answer ends has no image in the pieces,
and gets no gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.lm.spans import Span, TokenSpans
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.piece_table import PieceTable
from sea_toolkit.readers.response_scorer import ResponseScorer
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.readers.shown_text import PlacedAnswer


class BridgedScorer(ResponseScorer):
    """Outputs `[P, C, L]` of a classifier that has other tokens than the policy.

    Args:
        reader: of texts.
        pieces: of each policy token.
        table: `pieces.embeddings` of the reader's embedding.
        context: of the run.

    Raises:
        RecipeError: prompt and answer are too long for the model.
    """

    def __init__(
        self, reader: ClassifierReader, pieces: PieceTable, table: Float[Tensor, "V D"], context: Context
    ) -> None:
        super().__init__(reader, context)
        self.policy, self.table = context.policy, table
        self.spans = TokenSpans(self.policy.tokenizer, self.policy.decode)
        # an estimate, by as many pieces as tokens: a text that turns out too long is NaN
        self.shown.frames(self.prompts, context.length)
        whole, parts, nothing = pieces.shares
        self.warnings.append(
            f"{self.shown.name} has a tokenizer of its own: its value is exact, its gradient comes through a bridge "
            f"({whole:.0%} of the policy's tokens are one of its pieces, {parts:.0%} several, {nothing:.0%} none)"
        )

    def outputs(self, response: SoftResponse) -> Float[Tensor, "P C L"]:
        p, c = response.shape[:2]
        rows, texts = self._texts(response)
        prompts = [prompt for prompt in self.prompts for _ in range(c)]
        mixed = response.embed(self.table) if torch.is_grad_enabled() else None
        if mixed is None or not mixed.requires_grad:
            return self.reader.texts(prompts, texts).unflatten(0, (p, c))
        own = torch.nn.functional.embedding(response.ids, self.table)
        placed = [self.shown.placed(prompt, text) for prompt, text in zip(prompts, texts, strict=True)]
        change = (mixed - own).flatten(0, 1).to(self.reader.table.device)
        outputs = self._read(placed, rows, texts, response.ids.flatten(0, 1), change)
        return outputs.unflatten(0, (p, c))

    def _texts(self, response: SoftResponse) -> tuple[list[list[int]], list[str]]:
        """For each response the positions that have a token, and its text."""
        content = (response.content > 0.5).flatten(0, 1)
        rows = [mask.nonzero().flatten().tolist() for mask in content]
        if response.texts is not None:
            return rows, [text for row in response.texts for text in row]
        ids = response.ids.flatten(0, 1).tolist()
        return rows, [self.policy.decode([row[t] for t in at]) for row, at in zip(ids, rows, strict=True)]

    def _read(
        self,
        placed: Sequence[PlacedAnswer | None],
        rows: Sequence[Sequence[int]],
        texts: Sequence[str],
        ids: Tensor,
        change: Float[Tensor, "N T D"],
    ) -> Float[Tensor, "N L"]:
        """Outputs for the pieces of N texts, moved by what each position has become."""
        width = max(1, *(0 if answer is None else len(answer.ids) for answer in placed))
        pieces = torch.zeros(len(texts), width, dtype=torch.long, device=change.device)
        mask, alignment = pieces > 0, change.new_zeros(len(texts), width, change.shape[1])
        for n, answer in enumerate(placed):
            if answer is None or not answer.ids:
                mask[n, 0] = True
                continue
            length = len(answer.ids)
            pieces[n, :length] = torch.tensor(answer.ids, device=change.device)
            mask[n, :length] = True
            spans = self.spans.of([int(ids[n, t]) for t in rows[n]], texts[n])
            alignment[n, :length, list(rows[n])] = overlaps(answer.spans, spans).to(alignment)
        embeds = self.reader.embedding(pieces) + alignment @ change
        outputs = self.reader.read(embeds[None], mask[None])[0]
        unread = torch.tensor([answer is None or not answer.ids for answer in placed], device=outputs.device)
        return outputs.masked_fill(unread[:, None], torch.nan)


def overlaps(pieces: Sequence[Span], tokens: Sequence[Span]) -> Float[Tensor, "S T"]:
    """The share of each piece that each token writes."""
    piece, token = (torch.tensor(spans, dtype=torch.float32).reshape(-1, 2) for spans in (pieces, tokens))
    first = torch.maximum(piece[:, None, 0], token[None, :, 0])
    last = torch.minimum(piece[:, None, 1], token[None, :, 1])
    return (last - first).clamp(min=0) / (piece[:, 1] - piece[:, 0]).clamp(min=1)[:, None]
