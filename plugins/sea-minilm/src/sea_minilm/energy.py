"""The energy `minilm`: answers that mean what a text means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

import sea_toolkit as sea
from sea_minilm.encoder import Encoder
from sea_minilm.files import MODEL


class MiniLM(sea.Energy):
    """Minus the cosine between the embeddings of the answer and of a text, from −1 (the same) to 1.

    The model, all-MiniLM-L6-v2, reads words, not the policy's tokens: so the energy scores text only. Samplers use it
    to choose and to accept, and a sampler that needs gradients refuses it.

    Args:
        text: what the answer should mean; without it, each prompt: answers that stay with the question.

    Source: Reimers and Gurevych, 2019, arXiv 1908.10084.
    """

    differentiable = False

    def __init__(self, *, text: str | None = None) -> None:
        self.text = text

    def check(self, finder: sea.ModelFinder, tokenizer: Any) -> None:
        """Get the model before the policy's weights are read.

        Raises:
            ModelError: it cannot be had.
        """
        MODEL.pull(finder.progress)

    def bind(self, context: sea.Context) -> sea.BoundEnergy:
        """Load the model; it lies on the policy's device.

        Raises:
            ModelError: as `check`.
        """
        encoder = Encoder.load(MODEL.pull(context.finder.progress), context.policy.device)
        context.use_model("reward:minilm", encoder.model)
        return sea.BoundEnergy(score_text=Similarity(encoder, self.text).energy, is_reward=True)


class Similarity:
    """Minus the cosine of answers with one text, or each with its prompt; people read its negative."""

    def __init__(self, encoder: Encoder, text: str | None) -> None:
        self.encoder, self.text = encoder, text
        self.known: dict[str, Tensor] = {}

    def energy(self, prompts: Sequence[str], texts: Sequence[str]) -> Tensor:
        """`[N]`, one for each pair of a prompt and a text."""
        wanted = list(prompts) if self.text is None else [self.text] * len(texts)
        missing = [text for text in dict.fromkeys(wanted) if text not in self.known]
        if missing:
            self.known |= dict(zip(missing, self.encoder(missing), strict=True))
        # both have length one, so that the product is the cosine
        return -(self.encoder(texts) * torch.stack([self.known[text] for text in wanted])).sum(-1)
