"""Prompt and answer as the two segments of a pair: how cross-encoders and encoders trained on pairs read them."""

from __future__ import annotations

from typing import Any

from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.positions import shortened
from sea_toolkit.lm.spans import character_spans
from sea_toolkit.readers.placed_text import Ids, Part, PlacedAnswer, PlacedText, Row
from sea_toolkit.util.conversation import Prompt

_WORD = "a"


class ShownPair(PlacedText):
    """From a prompt and an answer to a pair, `tokenizer(prompt, answer)`, with the tokenizer's token types.

    The prompt is the text of the user's last turn. Too long a prompt loses its beginning, if it may.

    Args:
        tokenizer: the model's own.
        name: the model's, for messages.
        limit: tokens that it can read, or None.
        truncate: leave out the beginning of a prompt that is too long.

    Raises:
        RecipeError: the tokenizer makes no pairs.
    """

    reads = "pair"

    def __init__(self, tokenizer: Any, name: str, *, limit: int | None = None, truncate: bool = False) -> None:
        super().__init__(tokenizer, name, limit=limit, truncate=truncate)
        inner = tokenizer(_WORD, add_special_tokens=False).input_ids
        trial = self._pair(_WORD, _WORD)
        places = [i for i in range(len(trial.ids)) if trial.ids[i : i + len(inner)] == inner]
        if len(places) != 2 or not inner or places[1] - places[0] <= len(inner):
            raise RecipeError(
                f"the tokenizer of {name} puts nothing between the two texts of a pair",
                expected='reads = "prompt+response", "response" or "chat"',
            )
        first, second = places
        self._opening = trial.ids[:first]
        self._between = trial.ids[first + len(inner) : second]
        self._closing = trial.ids[second + len(inner) :]
        self.answer_types = trial.types[second : second + 1] + trial.types[second + len(inner) :] if trial.types else []

    def text(self, prompt: str, answer: str) -> str:
        return f"{Prompt.of(prompt)}\n{answer}"

    def parts(self, text: str, prompt: str, answer: str) -> list[Part]:
        return [Part(len(text) - len(answer), 0, answer)]

    def encode(self, text: str, *, offsets: bool = False) -> Any:
        return self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=offsets)

    def frame(self, prompt: str) -> tuple[Ids, Ids]:
        middle = self.tokenizer(str(Prompt.of(prompt)), add_special_tokens=False).input_ids
        return [*self._opening, *middle, *self._between], list(self._closing)

    def row(self, prompt: str, answer: str) -> Row | None:
        whole = self._shown(str(Prompt.of(prompt)), answer)
        return None if whole is None else Row(whole.ids[: self.limit], whole.types[: self.limit])

    def placed(self, prompt: str, answer: str) -> PlacedAnswer | None:
        whole = self._shown(str(Prompt.of(prompt)), answer)
        if whole is None:
            return None
        own = self.encode(answer, offsets=self.tokenizer.is_fast)
        fast = self.tokenizer.is_fast
        spans = character_spans(own.offset_mapping, answer) if fast else self._token_spans.of(own.input_ids, answer)
        start = len(whole.ids) - len(self._closing) - len(spans)
        spans = [*[(0, 0)] * start, *spans, *[(0, 0)] * len(self._closing)]
        return PlacedAnswer(whole.ids[: self.limit], whole.types[: self.limit], spans[: self.limit])

    def _shown(self, prompt: str, answer: str) -> Row | None:
        """The pair with as much of the prompt as is shown; longer than the limit only if the answer alone is."""
        whole = self._pair(prompt, answer)
        if self.limit is None or len(whole.ids) <= self.limit:
            return whole
        if not self.truncate:
            return None
        return shortened(
            prompt, lambda rest: self._pair(rest, answer), lambda row: len(row.ids), self.limit, self.tokenizer
        )

    def _pair(self, prompt: str, answer: str) -> Row:
        encoding = self.tokenizer(prompt, answer)
        types = encoding.get("token_type_ids")
        return Row(list(encoding.input_ids), list(types) if types is not None else [])
