"""The whole text that a model reads for a prompt and an answer: its tokens, and where among them the answer stands."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sea_toolkit.lm.positions import fitting_frames, shortened
from sea_toolkit.lm.spans import Span, TokenSpans, character_spans

Ids = list[int]


@dataclass(frozen=True)
class Row:
    """A whole text as a model reads it.

    Attributes:
        ids: its tokens.
        types: the token type of each, 0 for the first segment; empty for a text that is read as one.
    """

    ids: Ids
    types: Ids = field(default_factory=list)


@dataclass(frozen=True)
class PlacedAnswer(Row):
    """A whole text, and where in it the answer stands.

    Attributes:
        spans: for each token, which bytes of the answer's UTF-8 form it writes; outside of the answer the two ends
            are equal.
    """

    spans: list[Span] = field(default_factory=list)


@dataclass(frozen=True)
class Part:
    """A part of an answer as it stands in a whole text.

    Attributes:
        start: its first character in the whole text.
        skipped: characters of the answer before it.
        content: the part itself.
    """

    start: int
    skipped: int
    content: str


class PlacedText(ABC):
    """From a prompt and an answer to what a model reads.

    Args:
        tokenizer: the model's own.
        name: the model's, for messages.
        limit: tokens that it can read, or None.
        truncate: leave out the beginning of a prompt that is too long.

    Attributes:
        added: tokens that `finished` puts behind those of the tokenizer, at most.
        answer_types: the token type of an answer's tokens, then those of each token after it; empty for a text that is
            read as one segment. Tokens before it are of type 0.
    """

    added = 0
    answer_types: Sequence[int] = ()

    def __init__(self, tokenizer: Any, name: str, *, limit: int | None, truncate: bool) -> None:
        self.tokenizer, self.name, self.limit, self.truncate = tokenizer, name, limit, truncate

    @abstractmethod
    def text(self, prompt: str, answer: str) -> str:
        """What the model is given, without the tokenizer's own special tokens."""

    @abstractmethod
    def parts(self, text: str, prompt: str, answer: str) -> list[Part]:
        """Where the answer stands in the whole text of this prompt."""

    @abstractmethod
    def frame(self, prompt: str) -> tuple[Ids, Ids]:
        """Token ids before and after the answer's own."""

    @abstractmethod
    def encode(self, text: str, *, offsets: bool = False) -> Any:
        """What the tokenizer makes of a whole text, with the character offsets of its tokens if they are asked for."""

    def read(self, prompt: str, answer: str, *, offsets: bool = False) -> tuple[str, Any]:
        """The whole text, and what the tokenizer makes of it."""
        text = self.text(prompt, answer)
        return text, self.encode(text, offsets=offsets)

    def row_of(self, before: Ids, content: Ids, after: Ids) -> Row:
        """The row of an answer's tokens between those of `frame`."""
        ids = [*before, *content, *after]
        if not self.answer_types:
            return Row(ids)
        return Row(ids, [*[0] * len(before), *[self.answer_types[0]] * len(content), *self.answer_types[1:]])

    def finished(self, ids: Ids) -> Ids:
        """The tokens that are read of those that the tokenizer gives."""
        return ids[: self.limit]

    def ids(self, prompt: str, answer: str) -> Ids | None:
        """Token ids of that text as a whole; None where they are too many for the model and the prompt must stay
        whole."""
        row = self.row(prompt, answer)
        return None if row is None else row.ids

    def row(self, prompt: str, answer: str) -> Row | None:
        """The same ids with their token types."""
        fitting = self._fitting(prompt, answer)
        return None if fitting is None else Row(self.finished(fitting[2].input_ids))

    def placed(self, prompt: str, answer: str) -> PlacedAnswer | None:
        """The same row, and which tokens write the answer."""
        fitting = self._fitting(prompt, answer, offsets=self.tokenizer.is_fast)
        if fitting is None:
            return None
        rest, text, encoding = fitting
        return self.located(text, encoding, rest, answer)

    def located(self, text: str, encoding: Any, prompt: str, answer: str) -> PlacedAnswer:
        """The tokens of a whole text, and which of them write the answer.

        Args:
            text: see `read`.
            encoding: what the tokenizer made of it.
            prompt: as much of it as is shown.
            answer: that stands in it.
        """
        regions = []
        for part in self.parts(text, prompt, answer):
            start, skipped = len(text[: part.start].encode()), len(answer[: part.skipped].encode())
            regions.append((start, start + len(part.content.encode()), skipped - start))
        ids = self.finished(encoding.input_ids)
        spans = [_in_answer(span, regions) for span in self.spans(text, encoding)[: len(ids)]]
        return PlacedAnswer(ids, spans=[*spans, *[(0, 0)] * (len(ids) - len(spans))])

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
            self.frame,
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
        if self.limit is None or _width(read) + self.added <= self.limit:
            return read
        whole = functools.partial(self._whole, answer, offsets)
        return shortened(prompt, whole, _width, self.limit - self.added, self.tokenizer) if self.truncate else None

    def _whole(self, answer: str, offsets: bool, prompt: str) -> tuple[str, str, Any]:
        return (prompt, *self.read(prompt, answer, offsets=offsets))

    def spans(self, text: str, encoding: Any) -> list[Span]:
        """Which bytes of a whole text each of its tokens writes."""
        if self.tokenizer.is_fast:
            return character_spans(encoding.offset_mapping[: self.limit], text)
        return self._token_spans.of(encoding.input_ids[: self.limit], text)

    @functools.cached_property
    def _token_spans(self) -> TokenSpans:
        """Of a tokenizer that gives no offsets; made once, since it looks at the whole vocabulary."""
        return TokenSpans(self.tokenizer, functools.partial(self.tokenizer.decode, skip_special_tokens=True))


def _width(read: tuple[str, str, Any]) -> int:
    """Tokens of what `PlacedText._whole` gives."""
    return len(read[2].input_ids)


def _in_answer(span: Span, regions: Sequence[tuple[int, int, int]]) -> Span:
    """The bytes of the answer that a token writes.

    Args:
        span: its bytes in the whole text.
        regions: where the answer's parts begin and end there, and what leads from there to bytes of the answer.
    """
    first, last = span
    hits = [
        (max(first, start) + shift, min(last, end) + shift)
        for start, end, shift in regions
        if first < end and last > start
    ]
    return (hits[0][0], hits[-1][1]) if hits else (0, 0)
