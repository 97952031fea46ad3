"""What a reward model is shown of a prompt and an answer: the text that its user would give it, and its tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.positions import fitting_frames, shortened
from sea_toolkit.lm.template import ChatTemplate, has_template
from sea_toolkit.lm.tokens import wrapping
from sea_toolkit.util.conversation import Message, Prompt

Reading = Literal["auto", "response", "prompt+response", "chat"]
"""The answer alone; after the prompt, with a space between; the two as turns of the tokenizer's chat template; "auto"
is "chat" where there is a template, else the answer alone."""

Ids = list[int]


class ShownText:
    """From a prompt and an answer to what a model reads.

    Args:
        tokenizer: the model's own.
        name: the model's, for messages.
        reads: what it is shown.
        limit: tokens that it can read, or None.
        truncate: leave out the beginning of a prompt that is too long.
        template_options: variables of the chat template.

    Raises:
        RecipeError: template options for a model that reads no chat, or that the template does not mention.
        ModelError: "chat" and no template.
    """

    def __init__(
        self,
        tokenizer: Any,
        name: str,
        reads: Reading = "auto",
        *,
        limit: int | None = None,
        truncate: bool = False,
        template_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.tokenizer, self.name, self.limit, self.truncate = tokenizer, name, limit, truncate
        if reads == "auto":
            reads = "chat" if has_template(tokenizer) else "response"
        self.reads, self.chat = reads, None
        if reads == "chat":
            way_out = 'reads = "prompt+response" or "response"'
            self.chat = ChatTemplate(tokenizer, name, options=template_options, way_out=way_out)
        elif template_options:
            raise RecipeError(
                f"template_options for {name}, which reads {reads!r}", expected='reads = "chat"', hint="leave them out"
            )

    def text(self, prompt: str, answer: str) -> str:
        """What the model is given, without the tokenizer's own special tokens."""
        if self.chat is not None:
            return self.chat.render([*Prompt.of(prompt).messages, Message("assistant", answer)])
        if self.reads == "response":
            return answer
        between = "" if answer[:1].isspace() else " "
        return prompt.rstrip() + between + answer

    def ids(self, prompt: str, answer: str) -> Ids | None:
        """Token ids of that text as a whole; None where they are too many for the model and the prompt must stay
        whole."""
        ids, limit = self._whole(prompt, answer), self.limit
        if limit is None or len(ids) <= limit:
            return ids
        if not self.truncate:
            return None
        return shortened(prompt, lambda rest: self._whole(rest, answer), len, limit, self.tokenizer)[:limit]

    def frames(self, prompts: Sequence[str], length: int) -> list[tuple[Ids, Ids]]:
        """Token ids before and after the answer's own for each prompt; those after it are the same for all.

        Args:
            prompts: P prompts.
            length: tokens of the longest answer.

        Raises:
            RecipeError: prompt and answer have more tokens than the model can read.
        """
        return fitting_frames(
            prompts,
            self._frame,
            lambda frame: len(frame[0]) + len(frame[1]),
            length,
            self.limit,
            self.name,
            tokenizer=self.tokenizer,
            truncate=self.truncate,
        )

    def _whole(self, prompt: str, answer: str) -> Ids:
        ids: Ids = self.tokenizer(self.text(prompt, answer), add_special_tokens=self.chat is None).input_ids
        return ids

    def _frame(self, prompt: str) -> tuple[Ids, Ids]:
        if self.chat is not None:
            frame = self.chat.around(Prompt.of(prompt).messages)
            before, after = (
                self.tokenizer(part, add_special_tokens=False).input_ids if part else []
                for part in (frame.before, frame.after)
            )
            return before, after
        opening, closing = wrapping(self.tokenizer)
        shown = prompt.rstrip() if self.reads == "prompt+response" else ""
        middle = self.tokenizer(shown, add_special_tokens=False).input_ids if shown else []
        return [*opening, *middle], closing
