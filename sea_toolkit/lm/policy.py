"""The policy: any Hugging Face causal language model, read through soft or hard responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date as Date
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sea_toolkit.core.response import fit_rows
from sea_toolkit.core.torch_state import own_torch_state
from sea_toolkit.errors import ModelError
from sea_toolkit.lm.adapted import without_wrapper
from sea_toolkit.lm.architecture import dissect, require_distribution
from sea_toolkit.lm.backbone import Backbone
from sea_toolkit.lm.end_of_turn import end_of_turn
from sea_toolkit.lm.kv_cache import Prefix
from sea_toolkit.lm.micro_batches import vectors_that_fit
from sea_toolkit.lm.positions import usable_positions
from sea_toolkit.lm.text import Template, TextInterface
from sea_toolkit.lm.vocabulary import guard_rows, require_tokens, token_ids


def parameters_of(model: Any) -> tuple[int, int]:
    """How many weights a token meets in the blocks of a causal LM, and in its head; embeddings are looked up."""
    embedding, output = model.get_input_embeddings(), model.get_output_embeddings()
    tables = {id(embedding.weight), *(() if output is None else (id(output.weight),))}
    head = 0 if output is None else output.weight.numel()
    return sum(p.numel() for p in model.parameters() if id(p) not in tables), head


class Policy(TextInterface):
    """A causal LM and its tokenizer; weights are frozen, the model is in eval mode.

    Args:
        model: a transformers causal LM, already on its device; a `PeftModel` counts with its active adapter.
        tokenizer: its tokenizer.
        name: for messages and manifests.
        template: "chat" (the tokenizer's chat template), "plain" (the prompt as it is) or "auto".
        system: a system message for prompts that bring none.
        template_options: variables of the chat template, such as `{"enable_thinking": False}`.
        chat_template: one of the tokenizer's named templates, or a file with one.
        date: what a template that asks for the date is told; today if None.
        commits: of the repositories that its weights come from, for manifests.

    Attributes:
        vocab_size: logits per position. The tokenizer, the embedding and the head may each have another number of rows;
            `table` and `logits` have this one.
        token_ids: the ids that stand for a token, in rising order; the others are never written.
        notes: what a person should know about the model.

    Raises:
        ModelError: the tokenizer is empty or has no end-of-text token, there is no chat template though "chat" was
            asked for, the model looks ahead, its parts are not understood (see `dissect` and `Backbone`), or it was
            made inside `torch.inference_mode`.
        RecipeError: options of a chat template where prompts are plain, or options that the template does not mention.
    """

    @own_torch_state()
    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str = "policy",
        template: Template = "auto",
        system: str | None = None,
        template_options: Mapping[str, Any] | None = None,
        chat_template: str | None = None,
        date: Date | None = None,
        commits: Mapping[str, str] | None = None,
    ) -> None:
        model = without_wrapper(model, name)
        require_tokens(tokenizer, name)
        if any(weight.is_inference() for weight in model.parameters()):
            raise ModelError(
                f"{name} was loaded inside torch.inference_mode(), and no gradient runs through such weights",
                hint="load the model outside of that block; the run itself may stand in it",
            )
        super().__init__(
            tokenizer, name, template, system=system, options=template_options, chat_template=chat_template, date=date
        )
        self.model = model.eval().requires_grad_(False)
        self.commits = dict(commits or {})
        anatomy = dissect(self.model, name)
        self._head, self.vocab_size = anatomy.head, anatomy.vocab_size
        weight = anatomy.weight
        tokens, others = token_ids(tokenizer, len(weight), anatomy.vocab_size)
        self.token_ids, self._unwritable = tokens.to(weight.device), others.to(weight.device)
        end = end_of_turn(model, tokenizer, self.chat, set(tokens.tolist()), name)
        self.eos_ids, self.usual_end = end.ids, end.usual
        self._positions = usable_positions(model)
        guard_rows(anatomy.embedding, tokenizer, name)
        self.backbone = Backbone(anatomy.base, anatomy.embedding, name, filler=self.eos_ids[0])
        self.notes = (*end.notes, *self.backbone.notes)
        self.body_parameters, self.head_parameters = parameters_of(model)
        self._table: Tensor | None = None

    def __repr__(self) -> str:
        millions = sum(p.numel() for p in self.model.parameters()) / 1e6
        kind, dtype = type(self.model).__name__, str(self.dtype).removeprefix("torch.")
        return f"Policy({self.name!r}: {kind}, {millions:.3g} M weights, {dtype} on {self.device})"

    @property
    def device(self) -> torch.device:
        return self.backbone.weight.device

    @property
    def rows(self) -> int:
        return len(self.backbone.weight)

    @property
    def context_length(self) -> int | None:
        """Positions that the model can read, or None if there is no limit."""
        return self._positions

    @property
    def dtype(self) -> torch.dtype:
        return self.backbone.weight.dtype

    @property
    def table(self) -> Float[Tensor, "V D"]:
        """The embedding of every token as the model sees it; zeros for a token without an embedding."""
        if self._table is None:
            self._table = fit_rows(self.backbone.table, self.vocab_size)
        return self._table

    def prefix(self, rows: Sequence[Sequence[int]]) -> Prefix:
        """Run the prompts once and keep their keys and values. Each row has at least one token.

        Raises:
            ModelError: a token has no row in the embedding.
        """
        return self.backbone.prefix(rows)

    @torch.no_grad()
    def require_finite(self, prefix: Prefix) -> None:
        """Raises: ModelError if the next token has no distribution after any of the prompts."""
        require_distribution(self.logits(prefix.last_hidden), self.name, "the prompts")

    def logits(self, hidden: Float[Tensor, "*rows D"]) -> Float[Tensor, "*rows V"]:
        """Next-token logits of final hidden states, float32; −inf for ids that the tokenizer cannot write."""
        logits = self._head(inputs_embeds=hidden.reshape(1, -1, hidden.shape[-1])).logits.to(hidden.device).float()
        return self.forbid(logits.reshape(*hidden.shape[:-1], -1))

    def forbid(self, scores: Float[Tensor, "*rows V"]) -> Float[Tensor, "*rows V"]:
        """Scores of next tokens, with −inf for ids that the tokenizer cannot write: rows of padding, gaps."""
        return scores if len(self._unwritable) == 0 else scores.index_fill(-1, self._unwritable, -torch.inf)

    def predictors(
        self, prefix: Prefix, embeds: Float[Tensor, "P C T D"], mask: Bool[Tensor, "P C T"] | None = None
    ) -> Float[Tensor, "P C T H"]:
        """Hidden states that predict each of the T response tokens: the prompt's last one, then those of the first
        T − 1 tokens.

        Args:
            prefix: of the prompts.
            embeds: of the response tokens.
            mask: which of them count. Rows padded beyond the model's last position need it: the padding takes none.
        """
        first = prefix.last_hidden[:, None, None].expand(-1, embeds.shape[1], -1, -1)
        if embeds.shape[2] == 1:
            return first
        limit, longest = self.context_length, prefix.mask.shape[1] + embeds.shape[2] - 1
        live = mask[:, :, :-1] if mask is not None and limit is not None and longest > limit else None
        return torch.cat([first, self.backbone.hidden(prefix, embeds[:, :, :-1], live)], dim=2)

    def room(self, prefix: Prefix) -> Int[Tensor, " P"] | None:
        """Response tokens for which the model has positions after each prompt, or None if its config names no limit."""
        limit = self.context_length
        return None if limit is None else limit - prefix.mask.sum(-1)

    @torch.no_grad()
    def log_prob(
        self,
        prefix: Prefix,
        ids: Int[Tensor, "P C T"],
        mask: Bool[Tensor, "P C T"] | None = None,
        chunk_rows: int = 512,
    ) -> Float[Tensor, "P C T"]:
        """log π of each token given the prompt and the tokens before it; a few rows of `[rows, V]` at a time. For
        `mask` see `predictors`; where it is false, the value is meaningless."""
        hidden = self.predictors(prefix, self.backbone.embedding(ids), mask).flatten(0, 2)
        chunk_rows = vectors_that_fit(chunk_rows, 3.0 * 4 * self.vocab_size, self.device)
        pieces = []
        for h, y in zip(hidden.split(chunk_rows), ids.flatten().split(chunk_rows), strict=True):
            logits = self.logits(h)
            pieces.append(logits.gather(-1, y[:, None]).squeeze(-1) - logits.logsumexp(-1))
        return torch.cat(pieces).unflatten(0, ids.shape)
