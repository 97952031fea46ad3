"""The policy: any Hugging Face causal language model, read through soft or hard responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sea_toolkit.core.response import SoftResponse, fit_rows, is_any
from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.lm.architecture import dissect
from sea_toolkit.lm.backbone import Backbone
from sea_toolkit.lm.kv_cache import Prefix
from sea_toolkit.lm.vocabulary import end_of_text, require_tokens, token_ids

Template = Literal["auto", "chat", "plain"]


class Policy:
    """A causal LM and its tokenizer; weights are frozen, the model is in eval mode.

    Args:
        model: a transformers causal LM, already on its device.
        tokenizer: its tokenizer.
        name: for messages and manifests.
        template: "chat" (the tokenizer's chat template), "plain" (the prompt as it is) or "auto".

    Attributes:
        vocab_size: logits per position. The tokenizer, the embedding and the head may each have another number of rows;
            `table` and `logits` have this one.
        token_ids: the ids with a token behind them, in rising order; the others are never written.
        notes: what a user should know about this model, in sentences.

    Raises:
        ModelError: the tokenizer is empty or has no end-of-text token, there is no chat template though "chat" was
            asked for, the model looks ahead, or its parts are not understood (see `dissect` and `Backbone`).
    """

    def __init__(self, model: Any, tokenizer: Any, *, name: str = "policy", template: Template = "auto") -> None:
        self.model, self.tokenizer, self.name = model.eval().requires_grad_(False), tokenizer, name
        has_chat = bool(getattr(tokenizer, "chat_template", None))
        if template == "chat" and not has_chat:
            raise ModelError(
                f"the tokenizer of {name} has no chat template",
                hint='template = "plain", or an instruct model',
            )
        self.template = "chat" if template == "chat" or (template == "auto" and has_chat) else "plain"
        require_tokens(tokenizer, name)
        anatomy = dissect(self.model, name)
        self._head, self.vocab_size = anatomy.head, anatomy.vocab_size
        weight = anatomy.weight
        tokens, others = token_ids(tokenizer, len(weight), anatomy.vocab_size)
        self.token_ids, self._unwritable = tokens.to(weight.device), others.to(weight.device)
        self.eos_ids, self.notes = end_of_text(model, tokenizer, tokens.tolist(), name)
        self.backbone = Backbone(anatomy.base, anatomy.embedding, name, filler=self.eos_ids[0])
        self.notes += self.backbone.notes
        output = model.get_output_embeddings()
        self.head_parameters = 0 if output is None else output.weight.numel()
        tables = {id(weight), *(() if output is None else (id(output.weight),))}
        self.body_parameters = sum(p.numel() for p in model.parameters() if id(p) not in tables)
        self._table: Tensor | None = None

    @property
    def device(self) -> torch.device:
        return self.backbone.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.backbone.weight.dtype

    @property
    def context_length(self) -> int | None:
        """Positions the model was built for, or None if its config does not say."""
        config = self.model.config.get_text_config()
        return getattr(config, "max_position_embeddings", None)

    @property
    def table(self) -> Float[Tensor, "V D"]:
        """The embedding of every token as the model sees it; zeros for one that it cannot be given."""
        if self._table is None:
            self._table = fit_rows(self.backbone.table, self.vocab_size)
        return self._table

    def prefix(self, rows: Sequence[Sequence[int]]) -> Prefix:
        """Run the prompts once and keep their keys and values. Each row has at least one token."""
        return self.backbone.prefix(rows)

    def encode(self, prompts: Sequence[str], room: int) -> list[list[int]]:
        """Token ids of each prompt in the policy's template.

        Args:
            prompts: P texts.
            room: response tokens that must still fit behind the prompt.

        Raises:
            RecipeError: a prompt is empty, or too long for the model's context.
        """
        rows = []
        for i, prompt in enumerate(prompts):
            if not prompt.strip():
                raise RecipeError(f"prompt {i + 1} is empty", expected="some text to answer")
            if self.template == "chat":
                text = self.tokenizer.apply_chat_template(
                    [{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=False
                )
                ids = self.tokenizer(text, add_special_tokens=False).input_ids
            else:
                ids = self.tokenizer(prompt).input_ids
            limit = self.context_length
            if limit is not None and len(ids) + room > limit:
                raise RecipeError(
                    f"prompt {i + 1} has {len(ids)} tokens, and {room} more are to be written",
                    expected=f"at most {limit} together ({self.name})",
                    hint="shorten the prompt or lower --max-new-tokens",
                )
            rows.append(ids)
        return rows

    def logits(self, hidden: Float[Tensor, "*rows D"]) -> Float[Tensor, "*rows V"]:
        """Next-token logits of final hidden states, float32; −inf for ids that the tokenizer cannot write."""
        logits = self._head(inputs_embeds=hidden.reshape(1, -1, hidden.shape[-1])).logits.float()
        return self.forbid(logits.reshape(*hidden.shape[:-1], -1))

    def forbid(self, scores: Float[Tensor, "*rows V"]) -> Float[Tensor, "*rows V"]:
        """Scores of next tokens, with −inf for ids that the tokenizer cannot write: rows of padding, gaps."""
        return scores if len(self._unwritable) == 0 else scores.index_fill(-1, self._unwritable, -torch.inf)

    def predictors(self, prefix: Prefix, embeds: Float[Tensor, "P C T D"]) -> Float[Tensor, "P C T D"]:
        """Hidden states that predict each of the T response tokens: the prompt's last one, then those of the first
        T − 1 tokens."""
        first = prefix.last_hidden[:, None, None].expand(-1, embeds.shape[1], -1, -1)
        if embeds.shape[2] == 1:
            return first
        return torch.cat([first, self.backbone.hidden(prefix, embeds[:, :, :-1])], dim=2)

    @torch.no_grad()
    def log_prob(self, prefix: Prefix, ids: Int[Tensor, "P C T"], chunk_rows: int = 512) -> Float[Tensor, "P C T"]:
        """log π of each token given the prompt and the tokens before it; a few rows of `[rows, V]` at a time."""
        hidden = self.predictors(prefix, self.backbone.embedding(ids)).flatten(0, 2)
        pieces = []
        for h, y in zip(hidden.split(chunk_rows), ids.flatten().split(chunk_rows), strict=True):
            logits = self.logits(h)
            pieces.append(logits.gather(-1, y[:, None]).squeeze(-1) - logits.logsumexp(-1))
        return torch.cat(pieces).unflatten(0, ids.shape)

    def text(self, ids: Int[Tensor, "P C T"]) -> list[list[str]]:
        """What a person reads: tokens before the first end of text, decoded, special tokens stripped."""
        flat = ids.flatten(0, 1)
        ended = is_any(flat, self.eos_ids).long().cumsum(-1) > 0
        lengths = (~ended).sum(-1).tolist()
        texts = [self.decode(row[:n]) for row, n in zip(flat.tolist(), lengths, strict=True)]
        c = ids.shape[1]
        return [texts[i : i + c] for i in range(0, len(texts), c)]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids, special tokens stripped."""
        return self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def from_text(self, texts: Sequence[Sequence[str]], finished: Bool[Tensor, "P C"]) -> SoftResponse:
        """Re-tokenize P × C texts to a hard response; finished ones get their end-of-text token back."""
        eos = self.eos_ids[0] if self.tokenizer.eos_token_id is None else self.tokenizer.eos_token_id
        rows = []
        for texts_p, finished_p in zip(texts, finished.tolist(), strict=True):
            for text, done in zip(texts_p, finished_p, strict=True):
                # a text that spells out "<eos>" has not ended
                ids = (
                    self.tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids if text else []
                )
                rows.append([*ids, eos] if done else ids)
        width = max(1, *(len(r) for r in rows))
        ids = torch.tensor([r + [eos] * (width - len(r)) for r in rows], device=self.device)
        mask = torch.tensor([[True] * len(r) + [False] * (width - len(r)) for r in rows], device=self.device)
        shape = tuple(finished.shape)
        return SoftResponse.from_ids(ids.unflatten(0, shape), self.eos_ids, mask.unflatten(0, shape))
