"""How a gated reward weighs its objectives: by the hidden state at the end of the prompt, which no answer changes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.errors import RecipeError
from sea_toolkit.models.heads import HeadedModel
from sea_toolkit.readers.placed_text import Ids, PlacedText


class Gates:
    """The weights of the objectives for a text, from the tokens up to the end of its prompt; each prompt is read once.

    Args:
        model: whose head is gated.
        shown: the texts that it reads.

    Raises:
        RecipeError: the texts have no such place.
    """

    def __init__(self, model: HeadedModel, shown: PlacedText) -> None:
        self.model, self.shown, self._known = model, shown, dict[tuple[int, ...], Tensor]()
        self.mark: Ids = shown.tokenizer(model.gate_at, add_special_tokens=False).input_ids
        before, _ = shown.frame("a")
        self.position(before)

    def position(self, ids: Ids) -> int:
        """Where the gates read: at the first token of the mark, where that stands last.

        Raises:
            RecipeError: the mark is not in the text.
        """
        for start in range(len(ids) - len(self.mark), -1, -1):
            if ids[start : start + len(self.mark)] == self.mark:
                return start
        raise RecipeError(
            f"{self.shown.name} weighs its objectives at {self.model.gate_at!r}, which is not in the text it reads",
            expected='reads = "chat", with the chat template of its own tokenizer',
        )

    @torch.no_grad()
    def of(self, ids: Ids) -> Float[Tensor, " K"]:
        """The weights for a text that begins with these tokens."""
        key = tuple(ids[: self.position(ids) + 1])
        if key not in self._known:
            assert self.model.score.gating is not None
            read = torch.tensor([key], device=self.model.get_input_embeddings().weight.device)
            hidden = self.model.model(input_ids=read, attention_mask=torch.ones_like(read)).last_hidden_state
            self._known[key] = self.model.score.gating(hidden[:, -1])[0]
        return self._known[key]
