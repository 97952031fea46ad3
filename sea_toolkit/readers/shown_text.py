"""What a reward model is shown of a prompt and an answer: the text that its user would give it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.template import ChatTemplate, has_template
from sea_toolkit.lm.tokens import wrapping
from sea_toolkit.readers.placed_text import Ids, Part, PlacedText
from sea_toolkit.util.conversation import Message, Prompt

Reading = Literal["auto", "response", "prompt+response", "chat", "pair"]
"""The answer alone; after the prompt, with a space between; the two as turns of the tokenizer's chat template; as the
two segments of a pair; "auto" is what the model's folder tells (see `TextForm`), else the answer alone."""


@dataclass(frozen=True)
class TextForm:
    """What a model's folder says of the texts that it reads.

    Attributes:
        frame: its family's conversations, in Jinja, where the tokenizer has no chat template. The tokenizer's special
            tokens come around them.
        pair: prompt and answer are two segments.
        unread: a token that is not read where it ends a text: padding, where the model is read before it.
        read_out: a token that is put behind the text, and read.
    """

    frame: str | None = None
    pair: bool = False
    unread: int | None = None
    read_out: int | None = None


_PLAIN = TextForm()


def before_answer(reads: Reading, prompt: str, answer: str) -> str:
    """What stands before an answer that is shown as plain text."""
    if reads == "response":
        return ""
    return prompt.rstrip() + ("" if answer[:1].isspace() else " ")


class ShownText(PlacedText):
    """From a prompt and an answer to what a model reads.

    Args:
        tokenizer: the model's own.
        name: the model's, for messages.
        reads: what it is shown.
        limit: tokens that it can read, or None.
        truncate: leave out the beginning of a prompt that is too long.
        template_options: variables of the chat template.
        form: what the model's folder says.

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
        form: TextForm = _PLAIN,
    ) -> None:
        super().__init__(tokenizer, name, limit=limit, truncate=truncate)
        if reads == "auto":
            reads = "chat" if form.frame or has_template(tokenizer) else "response"
        self.reads, self.form, self.chat = reads, form, None
        self.added = 0 if form.read_out is None else 1
        self.wraps = reads != "chat"
        if reads == "chat":
            if form.frame is not None and not has_template(tokenizer):
                tokenizer.chat_template = form.frame
            self.wraps = form.frame is not None and tokenizer.chat_template == form.frame
            way_out = 'reads = "prompt+response" or "response"'
            self.chat = ChatTemplate(tokenizer, name, options=template_options, way_out=way_out)
            # two renderings, which would be done again for each text of a prompt
            self._around = functools.lru_cache(maxsize=256)(self.chat.around)
        elif template_options:
            raise RecipeError(
                f"template_options for {name}, which reads {reads!r}", expected='reads = "chat"', hint="leave them out"
            )

    def text(self, prompt: str, answer: str) -> str:
        """What the model is given, without the tokenizer's own special tokens."""
        if self.chat is not None:
            return self.chat.render([*Prompt.of(prompt).messages, Message("assistant", answer)])
        return before_answer(self.reads, prompt, answer) + answer

    def encode(self, text: str, *, offsets: bool = False) -> Any:
        return self.tokenizer(text, add_special_tokens=self.wraps, return_offsets_mapping=offsets)

    def parts(self, text: str, prompt: str, answer: str) -> list[Part]:
        """One part; a template may trim the answer's ends, and leave nothing of it."""
        if self.chat is None:
            return [Part(len(before_answer(self.reads, prompt, answer)), 0, answer)]
        around = self._around(tuple(Prompt.of(prompt).messages))
        shown = answer.strip() if around.trims else answer
        start = len(around.before)
        return [Part(start, answer.find(shown), shown)] if text.startswith(shown, start) else []

    def frame(self, prompt: str) -> tuple[Ids, Ids]:
        before, after = "", ""
        if self.chat is not None:
            around = self.chat.around(Prompt.of(prompt).messages)
            before, after = around.before, around.after
        elif self.reads == "prompt+response":
            before = prompt.rstrip()
        opening, closing = wrapping(self.tokenizer) if self.wraps else ([], [])
        head, tail = (
            self.tokenizer(part, add_special_tokens=False).input_ids if part else [] for part in (before, after)
        )
        return [*opening, *head], self.finished([*tail, *closing])

    def finished(self, ids: Ids) -> Ids:
        """The tokens up to the one that is read: without padding at the end, and with the read-out token."""
        read_out = [] if self.form.read_out is None else [self.form.read_out]
        end = len(ids)
        if self.limit is not None:
            end = min(end, self.limit - len(read_out))
        while end and ids[end - 1] == self.form.unread:
            end -= 1
        return [*ids[:end], *([] if ids[end - 1 : end] == read_out else read_out)]
