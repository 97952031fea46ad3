"""What a judge reads of a prompt and an answer: a conversation in its own template, up to where its verdict stands."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from sea_toolkit.energies.judge.forms import Form
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.policy import Policy
from sea_toolkit.lm.template import MARK, AnswerFrame, ChatTemplate
from sea_toolkit.lm.tokens import after_context, opened
from sea_toolkit.readers.placed_text import Ids, Part, PlacedText
from sea_toolkit.util.conversation import Message, Prompt


class Request(PlacedText):
    """From a prompt and an answer to what a judge reads.

    Args:
        form: how it is asked.
        question: what replaces {question}.
        lm: the judge.
        limit: tokens that it can read, or None.
        truncate: leave out the beginning of a prompt that is too long.

    Raises:
        RecipeError: several turns and no chat template, template options that the template does not mention, or that a
            plain text has no use for.
    """

    def __init__(self, form: Form, question: str, lm: Policy, *, limit: int | None, truncate: bool) -> None:
        super().__init__(lm.tokenizer, lm.name, limit=limit, truncate=truncate)
        self.form, self.question, self.chat = form, question, _chat(form, lm)
        # two renderings, which would be done again for each text of a prompt
        self._around = functools.lru_cache(maxsize=256)(self._frame_of)

    def text(self, prompt: str, answer: str) -> str:
        turns = self._turns(prompt, answer)
        text = turns[0].content if self.chat is None else self.chat.render(turns, add_generation_prompt=True)
        return self._anchored(text)

    def encode(self, text: str, *, offsets: bool = False) -> Any:
        read = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=offsets)
        if self.chat is not None:
            return read
        ids = opened(self.tokenizer, text)
        added = len(ids) - len(read.input_ids)
        places = [(0, 0)] * added + list(read.offset_mapping) if offsets else []
        return SimpleNamespace(input_ids=ids, offset_mapping=places)

    def parts(self, text: str, prompt: str, answer: str) -> list[Part]:
        """One part; none where the template changes the answer."""
        around = self.around(prompt)
        start, stop = len(around.before), len(text) - len(around.after)
        shown = text[start:stop]
        return [Part(start, answer.find(shown), shown)] if text.startswith(around.before) and shown in answer else []

    def frame(self, prompt: str) -> tuple[Ids, Ids]:
        around = self.around(prompt)
        if self.chat is None:
            before = opened(self.tokenizer, around.before)
        else:
            before = list(self.tokenizer(around.before, add_special_tokens=False).input_ids)
        return before, after_context(self.tokenizer, around.before).encode([around.after], special=True)[0]

    def around(self, prompt: str) -> AnswerFrame:
        """The text before and after the answer.

        Raises:
            ModelError: the template leaves the answer out.
        """
        return self._around(tuple(self._turns(prompt, MARK)))

    def _frame_of(self, turns: Sequence[Message]) -> AnswerFrame:
        if self.chat is None:
            before, _, after = turns[0].content.partition(MARK)
            return AnswerFrame(before, self._anchored(after), trims=False)

        def with_answer(answer: str) -> list[Message]:
            return [Message(turn.role, turn.content.replace(MARK, answer)) for turn in turns]

        around = self.chat.place(with_answer, add_generation_prompt=True)
        return AnswerFrame(around.before, self._anchored(around.after), around.trims)

    def _anchored(self, text: str) -> str:
        return text if text.endswith(self.form.anchor) else text + self.form.anchor

    def _turns(self, prompt: str, answer: str) -> list[Message]:
        """The conversation; a user's turn that is nothing but the prompt becomes all turns of the prompt."""
        texts = {"{prompt}": str(prompt), "{response}": answer, "{question}": self.question}
        turns: list[Message] = []
        for turn in self.form.turns:
            if turn == Message("user", "{prompt}") and isinstance(prompt, Prompt):
                turns += prompt.messages
                continue
            content = re.sub(r"\{(?:prompt|response|question)\}", lambda match: texts[match.group()], turn.content)
            turns.append(Message(turn.role, content))
        return turns


def _chat(form: Form, lm: Policy) -> ChatTemplate | None:
    """The template that the form's turns go through, None for plain text."""
    if form.plain or lm.chat is None:
        why = "the judge is to read plain text" if form.plain else f"the tokenizer of {lm.name} has no chat template"
        if len(form.turns) > 1 or form.options:
            got = f"a template of {len(form.turns)} turns" if len(form.turns) > 1 else "template_options"
            raise RecipeError(f"{why}, and there is {got}", expected="a template that is one text, or a chat template")
        return None
    if not form.options:
        return lm.chat
    way_out = "another template, or template_options that it takes"
    return ChatTemplate(lm.tokenizer, lm.name, options=form.options, date=lm.chat.date, way_out=way_out)
