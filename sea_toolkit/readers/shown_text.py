"""What a reward model is shown of a prompt and an answer: the text that its user would give it, and its tokens."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.positions import fitting_frames, shortened
from sea_toolkit.lm.spans import Span, TokenSpans, character_spans
from sea_toolkit.lm.template import ChatTemplate, has_template
from sea_toolkit.lm.tokens import wrapping
from sea_toolkit.util.conversation import Message, Prompt

Reading = Literal["auto", "response", "prompt+response", "chat"]
"""The answer alone; after the prompt, with a space between; the two as turns of the tokenizer's chat template; "auto"
is "chat" where there is a template, else the answer alone."""

Ids = list[int]


@dataclass(frozen=True)
class PlacedAnswer:
    """A whole text, and where in it the answer stands.

    Attributes:
        ids: tokens of the whole.
        spans: for each of them, which bytes of the answer's UTF-8 form it writes; outside of the answer the two ends
            are equal.
    """

    ids: Ids
    spans: list[Span]


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
        return self._before(prompt, answer) + answer

    def ids(self, prompt: str, answer: str) -> Ids | None:
        """Token ids of that text as a whole; None where they are too many for the model and the prompt must stay
        whole."""
        fitting = self._fitting(prompt, answer)
        return None if fitting is None else fitting[2].input_ids[: self.limit]

    def placed(self, prompt: str, answer: str) -> PlacedAnswer | None:
        """The same ids, and which of them write the answer."""
        fitting = self._fitting(prompt, answer, offsets=self.tokenizer.is_fast)
        if fitting is None:
            return None
        rest, text, encoding = fitting
        first, shown = self._answer_in(text, rest, answer)
        start, skipped = len(text[:first].encode()), len(answer[: answer.find(shown)].encode())
        end = start + len(shown.encode())
        spans = [
            (max(a, start) - start + skipped, min(b, end) - start + skipped) if a < end and b > start else (0, 0)
            for a, b in self._spans(text, encoding)
        ]
        return PlacedAnswer(encoding.input_ids[: self.limit], spans)

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

    def _fitting(self, prompt: str, answer: str, *, offsets: bool = False) -> tuple[str, str, Any] | None:
        """As much of the prompt as is shown, the whole text, and what the tokenizer makes of it."""
        read = self._whole(answer, offsets, prompt)
        if self.limit is None or _width(read) <= self.limit:
            return read
        whole = functools.partial(self._whole, answer, offsets)
        return shortened(prompt, whole, _width, self.limit, self.tokenizer) if self.truncate else None

    def _whole(self, answer: str, offsets: bool, prompt: str) -> tuple[str, str, Any]:
        text = self.text(prompt, answer)
        encoding = self.tokenizer(text, add_special_tokens=self.chat is None, return_offsets_mapping=offsets)
        return prompt, text, encoding

    def _before(self, prompt: str, answer: str) -> str:
        """What stands before an answer that is shown as plain text."""
        if self.reads == "response":
            return ""
        return prompt.rstrip() + ("" if answer[:1].isspace() else " ")

    def _answer_in(self, text: str, prompt: str, answer: str) -> tuple[int, str]:
        """Where in a text the answer begins, and what is shown of it: a template may trim its ends."""
        if self.chat is None:
            return len(self._before(prompt, answer)), answer
        frame = self._around(tuple(Prompt.of(prompt).messages))
        shown = answer.strip() if frame.trims else answer
        start = len(frame.before)
        return (start, shown) if text.startswith(shown, start) else (len(text), "")

    def _spans(self, text: str, encoding: Any) -> list[Span]:
        if self.tokenizer.is_fast:
            return character_spans(encoding.offset_mapping[: self.limit], text)
        return self._token_spans.of(encoding.input_ids[: self.limit], text)

    @functools.cached_property
    def _token_spans(self) -> TokenSpans:
        """Of a tokenizer that gives no offsets; made once, since it looks at the whole vocabulary."""
        return TokenSpans(self.tokenizer, functools.partial(self.tokenizer.decode, skip_special_tokens=True))

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


def _width(read: tuple[str, str, Any]) -> int:
    """Tokens of what `ShownText._whole` gives."""
    return len(read[2].input_ids)
