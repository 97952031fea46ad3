"""What a classifier says of each of the policy's tokens by itself: a direction over words that needs no gradient.

The rank correlation of these scores with what a token changes on average in a text is often higher than that of the
gradient, which is of first order and sees a token at the places of a few texts only. Both together predict best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.util.progress import Progress

NEUTRAL = "Say something."
"""The prompt that a word answers, for a classifier that reads prompts."""

_BATCH = 1024
"""Words in one batch: rows of a few tokens each."""


@dataclass(frozen=True)
class WordPrior:
    """Scores of words, and how they and the gradient go together.

    Attributes:
        scores: `[V, L]`, the classifier's outputs for each token of the policy, minus their mean; 0 for tokens that
            stand for nothing.
        gradient_weight: `[L]`, what the gradient is multiplied by.
        word_weight: `[L]`, the same for the scores, in a text of one token; in a text of T tokens it is 1/T of that.
    """

    scores: Float[Tensor, "V L"]
    gradient_weight: Float[Tensor, " L"]
    word_weight: Float[Tensor, " L"]

    def tensors(self) -> dict[str, Tensor]:
        """All of it by name, on the CPU."""
        return {name: tensor.cpu().clone(memory_format=torch.contiguous_format) for name, tensor in vars(self).items()}

    def guide(
        self, outputs: Float[Tensor, "P C L"], response: SoftResponse, mask: Bool[Tensor, "P C T"]
    ) -> Float[Tensor, "P C L"]:
        """The same outputs at a text, with a gradient that is the weighted sum of their own and of the scores.

        Args:
            outputs: of the response.
            response: what they were read from.
            mask: its positions that have a token.
        """
        moved = response.embed(self.scores) - torch.nn.functional.embedding(response.ids, self.scores)
        length = mask.sum(-1, keepdim=True).clamp(min=1)
        words = (moved * mask[..., None]).sum(2) / length
        exact = outputs.detach()
        guided = exact + self.gradient_weight * (outputs - exact) + self.word_weight * words
        return torch.where(exact.isfinite(), guided, outputs)


def word_scores(reader: ClassifierReader, pieces: Sequence[Sequence[int]], progress: Progress) -> Float[Tensor, "V L"]:
    """The outputs for each token as a whole answer, minus their mean; float32, where the classifier is.

    Args:
        reader: of the classifier.
        pieces: of each of the V tokens; those without any get 0, and so do words that the classifier gives no number.
        progress: counts words.
    """
    (before, after), *_ = reader.shown.frames([NEUTRAL], 1)
    distinct = sorted({tuple(row) for row in pieces if row}, key=lambda row: (len(row), row))
    parts = []
    for start in range(0, len(distinct), _BATCH):
        rows = [reader.shown.row_of(before, list(row), after) for row in distinct[start : start + _BATCH]]
        parts.append(reader.rows(rows, batch=_BATCH))
        progress(min(start + _BATCH, len(distinct)), len(distinct), f"{reader.shown.name}: scoring single words (once)")
    outputs = torch.cat(parts) if parts else torch.zeros(0, reader.model.config.num_labels, device=reader.device)
    place = {row: i for i, row in enumerate(distinct)}
    index = torch.tensor([place[tuple(row)] if row else -1 for row in pieces], device=outputs.device)
    known = (index >= 0) & outputs.isfinite().all(-1)[index] if len(distinct) else index >= 0
    scores = outputs.new_zeros(len(pieces), outputs.shape[1])
    scores[known] = outputs[index[known]]
    scores[known] -= scores[known].mean(0)
    return scores
