"""What a language model reads of a prompt and an answer: turns with places for both, in its own template or as plain
text."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date as Date
from types import SimpleNamespace
from typing import Any

from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.template import MARK, AnswerFrame, ChatTemplate, has_template
from sea_toolkit.lm.tokens import after_context, opened
from sea_toolkit.readers.placed_text import Ids, Part, PlacedText
from sea_toolkit.util.conversation import Message, Prompt

Turns = tuple[Message, ...]

Template = str | list[dict[str, str]]
"""As a recipe writes turns: the text of one user's turn, or tables of a role and a text."""

CONVERSATION: Turns = (Message("user", "{prompt}"), Message("assistant", "{response}"))


class ConversationText(PlacedText):
    """From a prompt and an answer to the text of a conversation that contains them.

    A user's turn that is nothing but `{prompt}` becomes all turns of the prompt.

    Args:
        turns: with {prompt} and, once and behind it, {response}.
        tokenizer: the model's own.
        name: the model's, for messages.
        chat: the template of the turns; None for plain text, which is one turn.
        texts: what replaces other placeholders, such as {question}.
        anchor: what the model itself says behind it all, unless the rendered conversation ends with it.
        answers: the conversation ends with what the template writes before an assistant's answer.
        limit: tokens that it can read, or None.
        truncate: leave out the beginning of a prompt that is too long.
    """

    def __init__(
        self,
        turns: Turns,
        tokenizer: Any,
        name: str,
        chat: ChatTemplate | None,
        *,
        texts: Mapping[str, str] | None = None,
        anchor: str = "",
        answers: bool = True,
        limit: int | None = None,
        truncate: bool = False,
    ) -> None:
        super().__init__(tokenizer, name, limit=limit, truncate=truncate)
        self.turns, self.chat, self.texts = turns, chat, {f"{{{key}}}": text for key, text in (texts or {}).items()}
        self.anchor, self.answers = anchor, answers
        self._around = functools.lru_cache(maxsize=256)(self._frame_of)

    def text(self, prompt: str, answer: str) -> str:
        return self._anchored(self.rendered(self.filled(prompt, answer)))

    def encode(self, text: str, *, offsets: bool = False) -> Any:
        read = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=offsets)
        if self.chat is not None:
            return read
        ids = opened(self.tokenizer, text)
        places = [(0, 0)] * (len(ids) - len(read.input_ids)) + list(read.offset_mapping) if offsets else []
        return SimpleNamespace(input_ids=ids, offset_mapping=places)

    def parts(self, text: str, prompt: str, answer: str) -> list[Part]:
        """One part; none where the template changes the answer."""
        around = self.around(prompt)
        start, stop = len(around.before), len(text) - len(around.after)
        shown = text[start:stop]
        return [Part(start, answer.find(shown), shown)] if text.startswith(around.before) and shown in answer else []

    def frame(self, prompt: str) -> tuple[Ids, Ids]:
        around = self.around(prompt)
        before = self.encode(around.before).input_ids
        return list(before), after_context(self.tokenizer, around.before).encode([around.after], special=True)[0]

    def around(self, prompt: str) -> AnswerFrame:
        """The text before and after the answer.

        Raises:
            ModelError: the template leaves the answer out.
        """
        return self._around(tuple(self.filled(prompt, MARK)))

    def rendered(self, turns: Sequence[Message]) -> str:
        """The text of turns.

        Raises:
            ModelError: the template refuses them.
        """
        if self.chat is None:
            return "".join(turn.content for turn in turns)
        return self.chat.render(turns, add_generation_prompt=self.answers)

    def filled(self, prompt: str, answer: str) -> list[Message]:
        """The turns with prompt and answer in their places."""
        texts = {**self.texts, "{prompt}": str(prompt), "{response}": answer}
        holes, turns = re.compile("|".join(map(re.escape, texts))), list[Message]()
        for turn in self.turns:
            if turn == Message("user", "{prompt}") and isinstance(prompt, Prompt):
                turns += prompt.messages
            else:
                turns.append(Message(turn.role, holes.sub(lambda match: texts[match.group()], turn.content)))
        return turns

    def _frame_of(self, turns: Sequence[Message]) -> AnswerFrame:
        if self.chat is None:
            before, _, after = self.rendered(turns).partition(MARK)
            return AnswerFrame(before, self._anchored(after), trims=False)

        def with_answer(answer: str) -> list[Message]:
            return [Message(turn.role, turn.content.replace(MARK, answer)) for turn in turns]

        around = self.chat.place(with_answer, add_generation_prompt=self.answers)
        return AnswerFrame(around.before, self._anchored(around.after), around.trims)

    def _anchored(self, text: str) -> str:
        return text if text.endswith(self.anchor) else text + self.anchor


def turns_of(template: Template, energy: str) -> Turns:
    """A recipe's template as turns.

    Args:
        template: a text is one turn of the user's.
        energy: whose it is, for messages.

    Raises:
        RecipeError: no turns, a turn that is no pair of a role and a text, or placeholders that cannot be filled.
    """
    got = f"the template of {energy} is {template!r}"
    if isinstance(template, str):
        turns: Turns = (Message("user", template),)
    elif not template or any(len(turn) != 1 for turn in template):
        raise RecipeError(
            got, expected='a text, or turns such as [{ user = "{prompt}" }, { assistant = "{response}" }]'
        )
    else:
        turns = tuple(Message(role, text) for turn in template for role, text in turn.items())
    _, placeholder, after = "".join(turn.content for turn in turns).partition("{response}")
    if not placeholder or "{response}" in after or "{prompt}" in after:
        raise RecipeError(got, expected="{response} once, and {prompt} only before it")
    return turns


def chat_for(
    turns: Turns,
    tokenizer: Any,
    name: str,
    *,
    plain: bool,
    options: Mapping[str, Any],
    date: Date | None,
    own: Callable[[], ChatTemplate | None] = lambda: None,
) -> ChatTemplate | None:
    """The template that turns go through; None where they are plain text.

    Args:
        turns: of the conversation.
        tokenizer: the model's.
        name: the model's, for messages.
        plain: they are to be plain text.
        options: variables of the template.
        date: what the template is told; today if None.
        own: the model's template as it is set already, which serves where there are no options.

    Raises:
        RecipeError: several turns or options, and the text is plain; or options that the template does not mention.
    """
    if plain or not has_template(tokenizer):
        why = f"{name} is to read plain text" if plain else f"the tokenizer of {name} has no chat template"
        if len(turns) > 1 or options:
            got = f"the template has {len(turns)} turns" if len(turns) > 1 else "there are template_options"
            raise RecipeError(f"{why}, and {got}", expected="a template that is one text, or a chat template")
        return None
    known = None if options else own()
    way_out = "another template, or template_options that it takes"
    return known or ChatTemplate(tokenizer, name, options=options, date=date, way_out=way_out)
