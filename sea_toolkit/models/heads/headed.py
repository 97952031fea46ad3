"""A language model's body with a head of its own."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sea_toolkit.errors import ModelError
from sea_toolkit.models.heads.families import HeadForm
from sea_toolkit.models.heads.found import FoundHead
from sea_toolkit.models.heads.layers import Head


class HeadedModel(nn.Module):
    """A body with a head on one hidden state, in the form of transformers' sequence classifiers.

    Args:
        body: a decoder without a head.
        score: the head.
        found: what is known of it.

    Attributes:
        form: how its family reads it.
    """

    base_model_prefix = "model"

    def __init__(self, body: Any, score: Head, found: FoundHead) -> None:
        super().__init__()
        self.model, self.score = body, score
        self.form: HeadForm = found.form
        self.config = copy.deepcopy(body.config)
        self.config.num_labels = len(found.labels)
        self.config.id2label = dict(enumerate(found.labels))
        self.name_or_path: str = body.name_or_path

    @property
    def gate_at(self) -> str | None:
        """The text at whose first token the gates read; None for a head without gates."""
        return None if self.score.gating is None else self.form.gate_at[self.config.model_type]

    def get_input_embeddings(self) -> Any:
        """The body's."""
        return self.model.get_input_embeddings()

    def forward(
        self,
        input_ids: Int[Tensor, "N T"] | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Float[Tensor, "N T D"] | None = None,
        gate_positions: Int[Tensor, " N"] | None = None,
    ) -> Any:
        """Outputs `[N, L]` as `logits`, read at the last position that the mask shows.

        Args:
            input_ids: tokens.
            attention_mask: zero for padding.
            inputs_embeds: in place of the tokens.
            gate_positions: where a gated head reads the prompt.

        Raises:
            ModelError: a gated head without those positions.
        """
        hidden = self.model(
            input_ids=input_ids, inputs_embeds=inputs_embeds, attention_mask=attention_mask
        ).last_hidden_state
        shown = torch.ones_like(hidden[..., 0]) if attention_mask is None else attention_mask
        last = (torch.arange(1, shown.shape[1] + 1, device=shown.device) * (shown > 0)).argmax(-1)
        rows = torch.arange(len(hidden), device=hidden.device)
        if self.score.gating is None:
            return SimpleNamespace(logits=self.score(hidden[rows, last]))
        if gate_positions is None:
            raise ModelError(
                "a gated reward is read at the end of the prompt too", expected="gate_positions, one for each row"
            )
        gates = self.score.gating(hidden[rows, gate_positions])
        return SimpleNamespace(logits=self.score(hidden[rows, last], gates))
