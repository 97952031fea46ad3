"""The policy: any Hugging Face causal language model, read through soft or hard responses."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from datetime import date as Date
from functools import cached_property
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPast

from sea_toolkit.core.response import SoftResponse, is_any
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.backbone import Backbone
from sea_toolkit.lm.end_of_turn import end_of_turn
from sea_toolkit.lm.kv_cache import Prefix
from sea_toolkit.lm.positions import usable_positions
from sea_toolkit.lm.template import ChatTemplate, has_template
from sea_toolkit.lm.tokens import TextCodec, behind, middle_of_text, opened
from sea_toolkit.util.conversation import Messages, Prompt

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
        system: a system message for prompts that bring none.
        template_options: variables of the chat template, such as `{"enable_thinking": False}`.
        chat_template: one of the tokenizer's named templates, or a file with one.
        date: what a template that asks for the date is told; today if None.

    Attributes:
        chat: the renderer of conversations, or None where prompts are plain.
        eos_ids: the tokens that end an answer; `usual_end` is the one that a finished text without ids gets.
        notes: what a person should know about the model.

    Raises:
        ModelError: the tokenizer has no end-of-text token, no chat template though "chat" was asked for, or the
            model has no input embeddings or key/value cache.
        RecipeError: options of a chat template, and prompts are plain; or they do not exist.
    """

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
    ) -> None:
        self.model, self.tokenizer, self.name = model.eval().requires_grad_(False), tokenizer, name
        chat = template == "chat" or (template == "auto" and (has_template(tokenizer) or chat_template is not None))
        self.template = "chat" if chat else "plain"
        self.chat = None
        if chat:
            self.chat = ChatTemplate(
                tokenizer, name, name=chat_template, options=template_options, system=system, date=date
            )
        elif system is not None or template_options or chat_template is not None:
            raise RecipeError(
                f"a system prompt, a chat template or options of one, and the prompts of {name} are plain",
                expected='template = "chat", and a tokenizer with a chat template',
            )
        # everything after the base model, whatever this architecture does there (soft caps, scales, biases)
        self._head = copy.copy(model)
        self._head._modules = dict(model._modules)
        self._head._modules[model.base_model_prefix] = _GivenHidden()
        end = end_of_turn(model, tokenizer, self.chat, model.get_output_embeddings().weight.shape[0], name)
        self.eos_ids, self.usual_end, self.notes = end.ids, end.usual, end.notes
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

    def encode(self, prompts: Sequence[str | Messages], room: int) -> list[list[int]]:
        """Token ids of each prompt in the policy's template, ready for an answer.

        Args:
            prompts: P texts or conversations.
            room: response tokens that must still fit behind the prompt.

        Raises:
            RecipeError: a prompt is empty, too long for the model's context, or a conversation and prompts are plain.
            ModelError: the chat template cannot render it.
        """
        rows = []
        for i, given in enumerate(prompts, 1):
            prompt = Prompt.of(given, f"prompt {i}")
            if not prompt.strip():
                raise RecipeError(f"prompt {i} is empty", expected="some text to answer")
            if self.chat is not None:
                text = self.chat.render(prompt.messages, add_generation_prompt=True)
                ids = self.tokenizer(text, add_special_tokens=False).input_ids
            elif prompt.is_conversation:
                raise RecipeError(
                    f"prompt {i} has {len(prompt.messages)} turns, and the prompts of {self.name} are plain",
                    expected='one text, or template = "chat" and a tokenizer with a chat template',
                )
            else:
                ids = opened(self.tokenizer, prompt)
            limit = self.context_length
            if limit is not None and len(ids) + room > limit:
                raise RecipeError(
                    f"prompt {i} has {len(ids)} tokens, and {room} more are to be written",
                    expected=f"at most {limit} together ({self.name})",
                    hint="shorten the prompt or lower --max-new-tokens",
                )
            rows.append(ids)
        return rows

    @cached_property
    def answers(self) -> TextCodec:
        """Text ↔ token ids of answers, behind what the prompts end with."""
        if self.chat is None or not self.chat.generation_prompt:
            return middle_of_text(self.tokenizer)
        return behind(self.tokenizer, self.chat.generation_prompt)

    def as_answer(self, text: str) -> str:
        """A text that somebody wrote, with the white space that the chat template puts before an answer."""
        return text if self.chat is None or not text or text[0].isspace() else self.chat.lead + text

    def logits(self, hidden: Float[Tensor, "*rows D"]) -> Float[Tensor, "*rows V"]:
        """Next-token logits of final hidden states, float32."""
        return (
            self._head(inputs_embeds=hidden.reshape(1, -1, hidden.shape[-1]))
            .logits.float()
            .reshape(*hidden.shape[:-1], -1)
        )

    def predictors(
        self, prefix: Prefix, embeds: Float[Tensor, "P C T D"], mask: Bool[Tensor, "P C T"] | None = None
    ) -> Float[Tensor, "P C T D"]:
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
        """Response tokens that the model's positions leave behind each prompt, or None if its config names no limit."""
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
        `mask` see `predictors`; where it is false, the value is of no use."""
        hidden = self.predictors(prefix, self.backbone.embedding(ids), mask).flatten(0, 2)
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
        """Text of an answer's token ids, special tokens stripped."""
        return self.answers.decode(ids)

    def beginning(self, text: str, length: int, what: str) -> list[int]:
        """Token ids of what answers begin with.

        Args:
            text: as somebody wrote it, see `as_answer`.
            length: tokens of an answer, at most.
            what: the text's name in errors.

        Raises:
            RecipeError: a text of no tokens, or of too many.
        """
        (ids,) = self.answers.encode([self.as_answer(text)])
        if not 0 < len(ids) < length:
            raise RecipeError(
                f"{what} has {len(ids)} tokens, and an answer at most {length}",
                expected="at least one, and fewer than the answer",
                hint="raise --max-new-tokens",
            )
        return ids

    def ends(self, ids: Int[Tensor, "P C T"]) -> Int[Tensor, "P C"]:
        """The token that ended each answer, −1 where none has."""
        ended = is_any(ids, self.eos_ids)
        first = ids.gather(-1, ended.long().argmax(-1, keepdim=True)).squeeze(-1)
        return torch.where(ended.any(-1), first, -1)

    def from_text(
        self, texts: Sequence[Sequence[str]], finished: Bool[Tensor, "P C"], ends: Int[Tensor, "P C"] | None = None
    ) -> SoftResponse:
        """Re-tokenize P × C texts to a hard response.

        Args:
            texts: as answers to prompts.
            finished: which of them get an end-of-text token.
            ends: which token that is, see `ends`; the usual one if None. Those of unfinished texts are not looked at.
        """
        flat = [text for row in texts for text in row]
        last = torch.full(finished.shape, self.usual_end) if ends is None else ends
        rows = [
            [*ids, end] if done else ids
            for ids, end, done in zip(
                self.answers.encode(flat), last.flatten().tolist(), finished.flatten().tolist(), strict=True
            )
        ]
        width = max(1, *(len(r) for r in rows))
        fill = self.eos_ids[0]
        ids = torch.tensor([r + [fill] * (width - len(r)) for r in rows], device=self.device)
        mask = torch.tensor([[True] * len(r) + [False] * (width - len(r)) for r in rows], device=self.device)
        shape = tuple(finished.shape)
        return SoftResponse.from_ids(ids.unflatten(0, shape), self.eos_ids, mask.unflatten(0, shape))
