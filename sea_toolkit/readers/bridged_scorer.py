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

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.piece_alignment import PieceAlignment
from sea_toolkit.readers.piece_table import PieceTable
from sea_toolkit.readers.response_scorer import ResponseScorer
from sea_toolkit.readers.sequence_classifier import ClassifierReader


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
        super().__init__(reader, context.prompts)
        self.alignment = PieceAlignment(context.policy, table)
        # an estimate, by as many pieces as tokens: a text that turns out too long is NaN
        self.shown.frames(self.prompts, context.length)
        whole, parts, nothing = pieces.shares
        self.warnings.append(
            f"{self.shown.name} has a tokenizer of its own: its value is exact, its gradient comes through a bridge "
            f"({whole:.0%} of the policy's tokens are one of its pieces, {parts:.0%} several, {nothing:.0%} none)"
        )

    def outputs(self, response: SoftResponse) -> Float[Tensor, "P C L"]:
        p, c = response.shape[:2]
        texts, prompts = self.alignment.texts(response), [prompt for prompt in self.prompts for _ in range(c)]
        change = self.alignment.change(response)
        if change is None:
            return self.reader.texts(prompts, texts).unflatten(0, (p, c))
        placed = [self.shown.placed(prompt, text) for prompt, text in zip(prompts, texts, strict=True)]
        embeds, mask = self.alignment.embeds(response, texts, placed, change, self.reader.embedding)
        outputs = self.reader.read(embeds[None], mask[None], beside=self.reader.beside(placed))[0]
        unread = torch.tensor([answer is None or not answer.ids for answer in placed], device=outputs.device)
        return outputs.masked_fill(unread[:, None], torch.nan).unflatten(0, (p, c))
