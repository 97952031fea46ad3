"""The energy `minilm`: answers that mean what a text means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sea_minilm import files
from sea_minilm.encoder import Encoder
from sea_toolkit.util.progress import silent

if TYPE_CHECKING:
    from sea_toolkit.core.ledger import Ledger
    from sea_toolkit.problem.terms import Context
    from sea_toolkit.registry.hub import PluginHub


class MiniLM:
    """Minus the cosine between the embeddings of the answer and of a text, from −1 (the same) to 1.

    The model, all-MiniLM-L6-v2, reads words, not the policy's tokens: so the energy scores text only. Samplers use it
    to choose and to accept, and a sampler that needs gradients refuses it.

    Args:
        text: what the answer should mean; without it, each prompt: answers that stay with the question.

    Source: Reimers and Gurevych, 2019, arXiv 1908.10084.
    """

    label = "minilm"

    def __init__(self, *, text: str | None = None) -> None:
        self.text = text

    def check(
        self,
        hub: PluginHub,
        tokenizer: Any,
        progress: Callable[[int, int, str], None] | None = None,
        trust_remote_code: bool = False,
    ) -> Path:
        """Get the model before the policy's weights are read.

        Raises:
            ModelError: it cannot be had.
        """
        return files.pull(progress or silent)

    def bind(self, context: Context) -> BoundMiniLM:
        """Load the model; it lies on the policy's device.

        Raises:
            ModelError: as `check`.
        """
        folder = self.check(context.hub, context.policy.tokenizer, context.progress)
        return BoundMiniLM(Encoder.load(folder, context.policy.device), self.text, context.ledger)


class BoundMiniLM:
    """The energy of a run."""

    is_reward = True  # people read its negative, the similarity

    def __init__(self, encoder: Encoder, text: str | None, ledger: Ledger) -> None:
        self.encoder, self.text, self.ledger = encoder, text, ledger
        self.known: dict[str, Tensor] = {}

    @property
    def flops_per_token(self) -> float:
        """Forward."""
        return 2.0 * self.encoder.parameters

    def score_text(self, prompts: Sequence[str], texts: Sequence[str]) -> Tensor:
        """`[N]`, one for each pair of a prompt and a text."""
        before = self.encoder.tokens
        wanted = list(prompts) if self.text is None else [self.text] * len(texts)
        missing = [text for text in dict.fromkeys(wanted) if text not in self.known]
        if missing:
            self.known |= dict(zip(missing, self.encoder(missing), strict=True))
        # both have length one, so that the product is the cosine
        energy = -(self.encoder(texts) * torch.stack([self.known[text] for text in wanted])).sum(-1)
        self.ledger.forward("reward:minilm", self.encoder.tokens - before, self.encoder.parameters)
        return energy
