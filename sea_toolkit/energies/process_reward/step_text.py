"""The steps of an answer as a process reward reads them, and the tokens at which it is read."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from sea_toolkit.energies.process_reward.forms import StepForm
from sea_toolkit.energies.process_reward.pieces import Piece, end_of, pattern_of, steps_of, with_starts
from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.lm.template import MARK, ChatTemplate
from sea_toolkit.lm.tokens import opened
from sea_toolkit.readers.conversation_text import ConversationText
from sea_toolkit.readers.placed_text import Ids, Part, PlacedAnswer
from sea_toolkit.util.conversation import Message

_MARKED = re.compile(f"{MARK}(v?)(\\d+){MARK}")
_TRIAL = ("First, 1 + 1 = 2.", "So it is 2.")


@dataclass(frozen=True)
class PlacedSteps(PlacedAnswer):
    """A whole text with its steps.

    Attributes:
        ends: for each step the index of the token at which it is judged; empty where the tokenizer writes a separator
            together with its neighbours.
    """

    ends: list[int] = field(default_factory=list)


class StepText(ConversationText):
    """From a prompt and an answer to its steps with separators, in a conversation or as plain text.

    Args:
        form: how it is shown.
        tokenizer: the model's own.
        name: the model's, for messages.
        chat: the template of the turns; None for plain text.
        limit: tokens that it can read, or None.
        truncate: leave out the beginning of a prompt that is too long.

    Raises:
        RecipeError: a pattern that is none, no separator, or one that this tokenizer does not write by itself.
    """

    def __init__(
        self,
        form: StepForm,
        tokenizer: Any,
        name: str,
        chat: ChatTemplate | None,
        *,
        limit: int | None = None,
        truncate: bool = False,
    ) -> None:
        bos = tokenizer.bos_token or ""
        super().__init__(
            form.turns, tokenizer, name, chat, texts={"bos": bos}, answers=False, limit=limit, truncate=truncate
        )
        self.form, self.pattern = form, pattern_of(form.steps)
        self._turns_around = functools.lru_cache(maxsize=256)(self._frame_of_turns)
        if not form.separator and form.verdict is None:
            raise RecipeError(f"process-reward has no separator for {name}", expected="what stands behind each step")
        self._try()

    def text(self, prompt: str, answer: str) -> str:
        return "".join(piece.content for piece in self.pieces(prompt, steps_of(answer, self.pattern)))

    def read(self, prompt: str, answer: str, *, offsets: bool = False) -> tuple[str, Any]:
        pieces = self.pieces(prompt, steps_of(answer, self.pattern))
        text = "".join(piece.content for piece in pieces)
        return text, self.encode(text, offsets=offsets) if self.form.cut == "whole" else self._cut(pieces, offsets)

    def parts(self, text: str, prompt: str, answer: str) -> list[Part]:
        return [
            Part(start, piece.skipped, piece.content)
            for start, piece in with_starts(self.pieces(prompt, steps_of(answer, self.pattern)))
            if piece.kind == "step"
        ]

    def located(self, text: str, encoding: Any, prompt: str, answer: str) -> PlacedSteps:
        placed = super().located(text, encoding, prompt, answer)
        found = self._ends(text, encoding, self.pieces(prompt, steps_of(answer, self.pattern)))
        ends = [] if any(isinstance(end, str) for end in found) else [end for end in found if isinstance(end, int)]
        return PlacedSteps(placed.ids, spans=placed.spans, ends=ends)

    def pieces(self, prompt: str, steps: Sequence[Piece]) -> list[Piece]:
        """The whole text.

        Raises:
            ModelError: the chat template leaves a step out.
        """
        if self.form.verdict is not None:
            return self._judged_in_turns(prompt, steps)
        around = self.around(prompt)
        pieces = [Piece(around.before)]
        for i, step in enumerate(steps):
            if i == 0 and around.trims:
                left = step.content.lstrip()
                step = Piece(left, "step", step.skipped + len(step.content) - len(left))
            pieces += [step, Piece(self.form.separator, "separator")]
            if i < len(steps) - 1 and self.form.between:
                pieces.append(Piece(self.form.between))
        return [*pieces, Piece(around.after)]

    def _judged_in_turns(self, prompt: str, steps: Sequence[Piece]) -> list[Piece]:
        """Each step as a turn of the user's, which the assistant judges."""
        assert self.form.verdict is not None
        texts = self._turns_around(tuple(self.filled(prompt, f"{MARK}0{MARK}")), len(steps))
        pieces = [Piece(texts[0])]
        for i, step in enumerate(steps):
            header, behind = texts[1 + 2 * i], texts[2 + 2 * i]
            pieces += [step, Piece(header, "separator"), Piece(self.form.verdict), Piece(behind)]
        return pieces

    def _frame_of_turns(self, first: Sequence[Message], count: int) -> list[str]:
        """What the template writes before, between and behind the steps and their verdicts."""
        turns = list(first)
        for i in range(count):
            if i:
                turns.append(Message("user", f"{MARK}{i}{MARK}"))
            turns.append(Message("assistant", f"{MARK}v{i}{MARK}"))
        text = self.rendered(turns)
        expected = [(kind, str(i)) for i in range(count) for kind in ("", "v")] or [("", "0")]
        if [match.groups() for match in _MARKED.finditer(text)] != expected:
            raise ModelError(
                f"the chat template of {self.name} does not write all steps and verdicts once",
                expected="a template that writes user's and assistant's turns in their order",
            )
        return _MARKED.sub(MARK * 2, text).split(MARK * 2)

    def _cut(self, pieces: Sequence[Piece], offsets: bool) -> Any:
        """Each piece tokenized by itself; the first one opens the text."""
        ids, places = Ids(), list[tuple[int, int]]()
        for start, piece in with_starts(pieces):
            own = self.tokenizer(piece.content, add_special_tokens=False, return_offsets_mapping=offsets)
            opening = [] if ids else opened(self.tokenizer, piece.content)
            opening = opening[: len(opening) - len(own.input_ids)]
            ids += [*opening, *own.input_ids]
            if offsets:
                places += [(0, 0)] * len(opening) + [(start + a, start + b) for a, b in own.offset_mapping]
        return SimpleNamespace(input_ids=ids, offset_mapping=places)

    def _ends(self, text: str, encoding: Any, pieces: Sequence[Piece]) -> list[int | str]:
        """For each step the token at which it is judged, or why there is none."""
        spans = self.spans(text, encoding)
        return [
            end_of(spans, len(text[:start].encode()), len(text[: start + len(piece.content)].encode()))
            for start, piece in with_starts(pieces)
            if piece.kind == "separator"
        ]

    def _try(self) -> None:
        """Refuse a separator that this tokenizer does not write by itself."""
        steps = [Piece(content, "step") for content in _TRIAL]
        pieces = self.pieces("What is 1 + 1?", steps)
        text = "".join(piece.content for piece in pieces)
        offsets = self.tokenizer.is_fast
        encoding = self.encode(text, offsets=offsets) if self.form.cut == "whole" else self._cut(pieces, offsets)
        for end in self._ends(text, encoding, pieces):
            if isinstance(end, str):
                raise RecipeError(
                    f"the tokenizer of {self.name} {end} the separator {self.form.separator!r} of process-reward",
                    expected="a separator of tokens of its own",
                    hint='cut = "steps", if the model was trained on steps that were tokenized by themselves',
                )
