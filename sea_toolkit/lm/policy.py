"""The policy: any Hugging Face causal language model, read through soft or hard responses."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPast

from sea_toolkit.core.response import SoftResponse, is_any
from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.lm.backbone import Backbone
from sea_toolkit.lm.kv_cache import Prefix
from sea_toolkit.lm.positions import usable_positions

Template = Literal["auto", "chat", "plain"]


class _Output(BaseModelOutputWithPast):
    """Nothing but hidden states; what an architecture's head asks for beside them (GPT-2 the cross attentions, a
    mixture of experts the router's logits) is None."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


class _GivenHidden(nn.Module):
    """Stands in for the base model and returns the hidden states it is given as its output."""

    def forward(self, input_ids: Tensor | None = None, *args: Any, inputs_embeds: Tensor, **kwargs: Any) -> Any:
        return _Output(last_hidden_state=inputs_embeds)


class Policy:
    """A causal LM and its tokenizer; weights are frozen, the model is in eval mode.

    Args:
        model: a transformers causal LM, already on its device.
        tokenizer: its tokenizer.
        name: for messages and manifests.
        template: "chat" (the tokenizer's chat template), "plain" (the prompt as it is) or "auto".

    Raises:
        ModelError: the tokenizer has no end-of-text token, no chat template though "chat" was asked for, or the
            model has no input embeddings or key/value cache.
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
        # everything after the base model, whatever this architecture does there (soft caps, scales, biases)
        self._head = copy.copy(model)
        self._head._modules = dict(model._modules)
        self._head._modules[model.base_model_prefix] = _GivenHidden()
        self.eos_ids = self._end_of_text()
        base, embedding = getattr(model, model.base_model_prefix), model.get_input_embeddings()
        self.context_length = usable_positions(model)
        self.backbone = Backbone(base, embedding, name, filler=self.eos_ids[0])
        self.head_parameters = model.get_output_embeddings().weight.numel()
        tables = {id(embedding.weight), id(model.get_output_embeddings().weight)}
        self.body_parameters = sum(p.numel() for p in model.parameters() if id(p) not in tables)

    @property
    def device(self) -> torch.device:
        return self.backbone.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.backbone.weight.dtype

    @property
    def vocab_size(self) -> int:
        return self.model.get_output_embeddings().weight.shape[0]

    @property
    def table(self) -> Float[Tensor, "V D"]:
        """The embedding of every token as the model sees it."""
        return self.backbone.table

    def prefix(self, rows: Sequence[Sequence[int]]) -> Prefix:
        """Run the prompts once and keep their keys and values. Each row has at least one token."""
        return self.backbone.prefix(rows)

    def _end_of_text(self) -> tuple[int, ...]:
        config = getattr(self.model, "generation_config", None)
        found = getattr(config, "eos_token_id", None)
        ids = set(found if isinstance(found, list) else [] if found is None else [found])
        if self.tokenizer.eos_token_id is not None:
            ids.add(self.tokenizer.eos_token_id)
        if not ids:
            raise ModelError(
                f"{self.name} has no end-of-text token",
                hint="set tokenizer.eos_token, or model.generation_config.eos_token_id",
            )
        return tuple(sorted(ids))

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
        """Next-token logits of final hidden states, float32."""
        return (
            self._head(inputs_embeds=hidden.reshape(1, -1, hidden.shape[-1]))
            .logits.float()
            .reshape(*hidden.shape[:-1], -1)
        )

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
