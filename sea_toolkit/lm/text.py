"""A policy's side of text: prompts and conversations to token ids, token ids to text, and texts back to responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date as Date
from functools import cached_property
from typing import Any, Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from sea_toolkit.core.response import SoftResponse, is_any
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.spans import TokenSpans
from sea_toolkit.lm.template import ChatTemplate, has_template
from sea_toolkit.lm.tokens import TextCodec, after_context, middle_of_text, opened
from sea_toolkit.lm.vocabulary import require_rows
from sea_toolkit.util.conversation import Messages, Prompt

Template = Literal["auto", "chat", "plain"]


class TextInterface:
    """How a language model is asked and read; `Policy` adds the model, and documents the arguments.

    Attributes:
        chat: the renderer of conversations, or None where prompts are plain.
        eos_ids: the tokens that end an answer; `usual_end` is the one that a finished text without ids gets.

    Raises:
        ModelError: there is no chat template though "chat" was asked for.
        RecipeError: settings of a chat template where prompts are plain, or settings that it does not know.
    """

    eos_ids: tuple[int, ...]
    usual_end: int

    def __init__(
        self,
        tokenizer: Any,
        name: str,
        template: Template,
        *,
        system: str | None = None,
        options: Mapping[str, Any] | None = None,
        chat_template: str | None = None,
        date: Date | None = None,
    ) -> None:
        self.tokenizer, self.name = tokenizer, name
        chat = template == "chat" or (template == "auto" and (has_template(tokenizer) or chat_template is not None))
        self.template = "chat" if chat else "plain"
        self.chat: ChatTemplate | None = None
        if chat:
            self.chat = ChatTemplate(tokenizer, name, name=chat_template, options=options, system=system, date=date)
        elif system is not None or options or chat_template is not None:
            raise RecipeError(
                f"a system prompt, a chat template or options of one, and the prompts of {name} are plain",
                expected='template = "chat", and a tokenizer with a chat template',
            )

    @property
    def device(self) -> torch.device:
        """The device of responses."""
        raise NotImplementedError

    @property
    def rows(self) -> int:
        """Of the embedding: ids from there on cannot be read."""
        raise NotImplementedError

    @property
    def context_length(self) -> int | None:
        """Positions the model was built for, or None if its config does not say."""
        raise NotImplementedError

    def encode(self, prompts: Sequence[str | Messages], room: int) -> list[list[int]]:
        """Token ids of each prompt in the policy's template, ready for an answer.

        Args:
            prompts: P texts or conversations.
            room: response tokens that must still fit after the prompt.

        Raises:
            RecipeError: a prompt is empty, too long for the model's context, or a conversation and prompts are plain.
            ModelError: the chat template cannot render it.
        """
        rows = []
        for i, item in enumerate(prompts, 1):
            prompt = Prompt.of(item, f"prompt {i}")
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
        """Text ↔ token ids of answers, after what the prompts end with."""
        if self.chat is None or not self.chat.generation_prompt:
            return middle_of_text(self.tokenizer)
        return after_context(self.tokenizer, self.chat.generation_prompt)

    @cached_property
    def spans(self) -> TokenSpans:
        """Which bytes of an answer each of its tokens writes."""
        return TokenSpans(self.tokenizer, self.decode)

    def as_answer(self, text: str) -> str:
        """A text that somebody wrote, with the white space that the chat template puts before an answer."""
        return text if self.chat is None or not text or text[0].isspace() else self.chat.lead + text

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
            ModelError: a token has no row in the embedding.
        """
        (ids,) = self.answers.encode([self.as_answer(text)])
        require_rows(ids, self.rows, self.name)
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
            ends: which token that is, see `ends`; the usual one if None. Those of unfinished texts are ignored.

        Raises:
            ModelError: a token has no row in the embedding.
        """
        flat = [text for row in texts for text in row]
        last = torch.full(finished.shape, self.usual_end) if ends is None else ends
        rows = [
            [*ids, end] if done else ids
            for ids, end, done in zip(
                self.answers.encode(flat), last.flatten().tolist(), finished.flatten().tolist(), strict=True
            )
        ]
        require_rows([i for row in rows for i in row], self.rows, self.name)
        width = max(1, *(len(r) for r in rows))
        fill = self.eos_ids[0]
        ids = torch.tensor([r + [fill] * (width - len(r)) for r in rows], device=self.device)
        mask = torch.tensor([[True] * len(r) + [False] * (width - len(r)) for r in rows], device=self.device)
        shape = tuple(finished.shape)
        response = SoftResponse.from_ids(ids.unflatten(0, shape), self.eos_ids, mask.unflatten(0, shape))
        return replace(response, texts=[list(row) for row in texts])
