"""Texts and relaxed responses as points: the mean of a model's hidden states over the tokens of the answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.lm.backbone import Backbone, embedding_table
from sea_toolkit.lm.fingerprint import same_vocabulary
from sea_toolkit.lm.micro_batches import in_micro_batches
from sea_toolkit.lm.positions import cut_answers, fitting_answers, fitting_texts, usable_positions
from sea_toolkit.lm.tokens import TextCodec, start_of_text, wrapping
from sea_toolkit.lm.truncate import truncate
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.language_model import aligned_with, text_ids
from sea_toolkit.readers.piece_alignment import texts_of
from sea_toolkit.readers.shown_text import ShownText

OPENING = "Text:\n"
"""Stands before each text that the policy reads: the first token of a sequence has a state of its own, whatever it is
(Xiao et al. 2023, arXiv 2309.17453), which would outweigh the text."""

ANYTHING = (
    "I went to the shop this morning.", "The meeting starts at nine.", "What do you think about it?",
    "Water boils at one hundred degrees.", "My brother works in a bank.", "Please write your name here.",
    "The old house stood by the river.", "Music makes people dance.", "She read the letter twice.",
    "Scientists study the stars.", "There are seven days in a week.", "Thank you for your help!",
    "The soup needs more salt.", "Birds fly south in winter.", "He forgot his keys again.",
    "Democracy needs free elections.",
)  # fmt: skip
"""Unrelated sentences, whose mean hidden state is subtracted: the hidden states of all texts lie in one narrow cone,
and without centering any two have a cosine of 0.9."""

_NO_PROMPT = "unread"
"""In the place of the prompt, for models that are shown the answer alone."""

_FLOOR = 1e-2
"""Least expected length that a mean divides by: below it an answer goes to the origin, with bounded gradients."""


class PolicyEncoder:
    """The policy's hidden states after one of its blocks, centered.

    Args:
        context: of the run.
        layer: how many blocks run; None for half of them.
        name: of the energy, for the ledger.

    Attributes:
        notes: what a person should know of its gradient.
    """

    notes: Sequence[str] = ()

    def __init__(self, context: Context, layer: int | None, name: str) -> None:
        self.policy = policy = context.policy
        blocks = policy.model.config.get_text_config().num_hidden_layers
        truncated = truncate(policy.model, max(1, blocks // 2) if layer is None else layer)
        context.use_model(f"{name}:policy", truncated)
        self.backbone = Backbone(truncated, policy.backbone.embedding, policy.name, filler=policy.eos_ids[0])
        opening = policy.tokenizer(OPENING, add_special_tokens=False).input_ids
        self.opening = self.backbone.prefix([opening])
        self.center = torch.zeros(policy.table.shape[1], device=policy.device)
        self.center = self.texts(ANYTHING).mean(0)

    def soft(self, response: SoftResponse) -> Float[Tensor, "P C D"]:
        """Embeddings of responses in the policy's tokens."""
        return self._pooled(response.embed(self.policy.table), response.content)

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Float[Tensor, "N D"]:
        """Embeddings of texts."""
        ids, mask = text_ids(self.policy.answers, texts, self.policy.device)
        return self._pooled(self.policy.backbone.embedding(ids), mask.float()).squeeze(1)

    def _pooled(self, embeds: Float[Tensor, "P C T D"], content: Float[Tensor, "P C T"]) -> Float[Tensor, "P C D"]:
        p = embeds.shape[0]
        first = self.opening.select(torch.zeros(p, dtype=torch.long, device=embeds.device))
        hidden = self.backbone.hidden(first, embeds).float() - self.center
        weights = content.float()[..., None]
        total = torch.where(weights > 0, weights * hidden, 0.0).sum(2)
        return total / weights.sum(2).clamp(min=_FLOOR)


class ModelEncoder:
    """The last hidden states of another model, special tokens included, as sentence encoders are read.

    With the policy's tokens it reads relaxed answers token by token; with others its own pieces of their text,
    and its gradient comes through a bridge.

    Args:
        model: the base of a transformers model, on the policy's device.
        tokenizer: its own.
        source: where the model comes from.
        context: of the run.
        name: the model's, for messages.
        energy: the energy's, for the ledger.
        truncate: whether the end of a text that is too long may be cut.

    Raises:
        RecipeError: an answer may be too long for the model.

    Attributes:
        notes: what a person should know of its gradient.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        source: Path | str,
        context: Context,
        name: str,
        energy: str,
        truncate: bool = False,
    ) -> None:
        self.model, self.tokenizer, self.policy = model, tokenizer, context.policy
        context.use_model(f"{energy}:{name}", model)
        self.embedding = model.get_input_embeddings()
        self.before, self.after = wrapping(tokenizer)
        self.name, self.limit, self.truncate = name, usable_positions(model), truncate
        self.around = len(self.before) + len(self.after)
        fitting_answers(context.length, self.around, self.limit, name, truncate=truncate)
        self.is_straight = same_vocabulary(tokenizer, context.policy.tokenizer)
        self.shown = ShownText(tokenizer, name, "response", limit=self.limit, truncate=truncate)
        table = embedding_table(self.embedding, name)
        self.alignment, self.notes = aligned_with(tokenizer, table, name, source, context)

    def soft(self, response: SoftResponse) -> Float[Tensor, "P C D"]:
        """Embeddings of responses in the policy's tokens, up to where each has more likely ended than not."""
        if self.is_straight:
            return self._pooled(response.embed(self.alignment.table), response.content > 0.5)
        texts, change = texts_of(response, self.policy), self.alignment.change(response)
        if change is None:
            return self.texts(texts).unflatten(0, response.shape[:2])
        placed = [self.shown.placed(_NO_PROMPT, text) for text in texts]
        points = self._means(*self.alignment.embeds(response, texts, placed, change, self.embedding))
        unread = torch.tensor([answer is None for answer in placed], device=points.device)
        return points.masked_fill(unread[:, None], torch.nan).unflatten(0, response.shape[:2])

    def check(self, texts: Sequence[str], what: str) -> None:
        """Refuse texts that are too long for the model, unless they may be truncated.

        Raises:
            RecipeError: a text is too long.
        """
        widths = [len(row) for row in self._codec.encode(texts)]
        fitting_texts(widths, self.around, self.limit, self.name, what=what, truncate=self.truncate)

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Float[Tensor, "N D"]:
        """Embeddings of texts; NaN for one that is too long for the model, unless it may be truncated."""
        ids, mask = text_ids(self._codec, texts, self.policy.device)
        return self._pooled(self.embedding(ids), mask).squeeze(1)

    @property
    def _codec(self) -> TextCodec:
        return self.policy.answers if self.is_straight else start_of_text(self.tokenizer)

    def _pooled(self, embeds: Float[Tensor, "P C T D"], mask: Bool[Tensor, "P C T"]) -> Float[Tensor, "P C D"]:
        (embeds,), mask, cut = cut_answers([embeds], mask, self.around, self.limit)
        p, c, _, _ = embeds.shape
        around = [
            self.embedding(torch.tensor(ids, device=embeds.device, dtype=torch.long)).expand(p, c, -1, -1)
            for ids in (self.before, self.after)
        ]
        rows = torch.cat([around[0], embeds, around[1]], 2).flatten(0, 1)
        seen = torch.nn.functional.pad(mask, (len(self.before), len(self.after)), value=True).flatten(0, 1)
        points = self._means(rows, seen).unflatten(0, (p, c))
        return points if self.truncate else points.masked_fill(cut[..., None], torch.nan)

    def _means(self, rows: Float[Tensor, "N S D"], seen: Bool[Tensor, "N S"]) -> Float[Tensor, "N D"]:
        """The mean over the tokens of each whole text."""
        # an empty text without special tokens has no token to read: its first position is used instead
        seen = torch.cat([seen[:, :1] | ~seen.any(-1, keepdim=True), seen[:, 1:]], 1)
        # masked positions leave no gap: positions are counted along the row
        order = (~seen).long().argsort(dim=-1, stable=True)
        rows, packed = rows.gather(1, order[..., None].expand_as(rows)), seen.gather(1, order)

        def read(part: slice, rows: Tensor) -> Tensor:
            seen = packed[part]
            hidden = self.model(inputs_embeds=rows, attention_mask=seen.long()).last_hidden_state.float()
            return torch.where(seen[..., None], hidden, 0.0).sum(1) / seen.sum(1, keepdim=True)

        return in_micro_batches(self.model, rows, read)
