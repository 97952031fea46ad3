"""A prompt is a conversation that ends with what the user says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from os import PathLike
from typing import Any

from sea_toolkit.errors import RecipeError, shortened
from sea_toolkit.util.unicode import require_unicode

ROW = "prompt"
"""The column of a row in Python that holds the prompt; the others are columns of its table."""

_EXPECTED = 'a text, or messages such as [{"role": "user", "content": "…"}], the last one a user\'s'
Messages = Sequence[Mapping[str, Any]]
Row = Mapping[str, Any]
"""A row of a table of prompts, `{"prompt": …, …}`."""


@dataclass(frozen=True)
class Message:
    """One turn: the speaker's role and the text."""

    role: str
    content: str

    def to_dict(self) -> dict[str, str]:
        return {"role": self.role, "content": self.content}


class Prompt(str):
    """The user's last turn, as a string, together with the whole conversation that it ends.

    Whatever reads prompts as texts (an energy's `score_text`, a table, a result) sees the last turn. Two prompts are
    equal only if their whole conversations are; a plain string is a conversation of one turn.

    Attributes:
        messages: all turns; the last one is the user's.
        columns: what else stands in its row of a table, such as a task's solution; no part of what is asked, and not
            compared.
    """

    messages: tuple[Message, ...]
    columns: Mapping[str, Any]

    def __new__(
        cls, text: str, messages: Sequence[Message] | None = None, columns: Mapping[str, Any] | None = None
    ) -> Prompt:
        prompt = super().__new__(cls, text)
        prompt.messages = (Message("user", str(text)),) if messages is None else tuple(messages)
        prompt.columns = dict(columns or {})
        return prompt

    def __getnewargs__(self) -> tuple[str, tuple[Message, ...], Mapping[str, Any]]:  # type: ignore[override]
        return str(self), self.messages, self.columns

    @classmethod
    def of(cls, value: Any, where: str = "the prompt") -> Prompt:
        """A prompt from a text or from messages.

        Args:
            value: a string, or messages `{"role": …, "content": …}`; content is a text or a list of text parts. Or a
                row of a table, `{"prompt": …, …}`.
            where: names it in errors.

        Raises:
            RecipeError: neither of them, an unknown key of a message, a conversation whose last turn is not the user's,
                a text that is empty or that UTF-8 cannot write.
        """
        prompt = value if isinstance(value, Prompt) else cls._read(value, where)
        if not prompt.strip():
            raise RecipeError(f"{where} is empty", expected="some text to answer")
        return prompt

    @classmethod
    def _read(cls, value: Any, where: str) -> Prompt:
        if isinstance(value, str):
            require_unicode(value, where)
            return cls(value)
        if is_row(value):
            columns = {str(name): cell for name, cell in value.items() if name != ROW}
            return cls.of(value[ROW], where).with_columns(columns)
        if isinstance(value, bytes | Mapping) or not isinstance(value, Iterable):
            raise RecipeError(f"{where} is {shortened(repr(value))}", expected=_EXPECTED, hint=_hint(value))
        value = list(value)
        if not value:
            raise RecipeError(f"{where} is {shortened(repr(value))}", expected=_EXPECTED)
        messages = [_message(turn, f"message {i} of {where}") for i, turn in enumerate(value, 1)]
        if messages[-1].role != "user":
            raise RecipeError(
                f"{where} ends with a turn of {messages[-1].role!r}",
                expected="a user's turn at the end, which the policy answers",
                hint='for an answer that begins with given words: the initializer "prefilled" with locked = true',
            )
        return cls(messages[-1].content, messages)

    @property
    def is_conversation(self) -> bool:
        """Whether there is more than the user's one turn."""
        return len(self.messages) > 1

    @property
    def key(self) -> str:
        """What distinguishes it from other prompts: the text itself, or for a conversation all of its turns."""
        return json.dumps(self.to_data(), ensure_ascii=False, sort_keys=True) if self.is_conversation else str(self)

    def to_data(self) -> str | list[dict[str, str]]:
        """Plain data for JSON, which `Prompt.of` reads."""
        return [turn.to_dict() for turn in self.messages] if self.is_conversation else str(self)

    def ask(self, text: str) -> Prompt:
        """The same conversation with another text as the user's last turn."""
        return Prompt(text, (*self.messages[:-1], Message("user", text)), self.columns)

    def with_columns(self, columns: Mapping[str, Any]) -> Prompt:
        """The same prompt with other columns."""
        return Prompt(str(self), self.messages, columns)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Prompt):
            return self.messages == other.messages
        return str.__eq__(self, other) is True and not self.is_conversation

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    def __str__(self) -> str:
        return str.__str__(self)


def is_one_prompt(prompts: Any) -> bool:
    """Whether this is a single prompt (a text, the messages of one conversation, a row) rather than several."""
    if isinstance(prompts, str) or is_row(prompts):
        return True
    turns = isinstance(prompts, Sequence) and bool(prompts) and all(isinstance(turn, Mapping) for turn in prompts)
    return turns and not any(map(is_row, prompts))


def is_row(value: Any) -> bool:
    """Whether it is a row of a table of prompts rather than a message, or the table's columns."""
    if not isinstance(value, dict) or ROW not in value or "role" in value:
        return False
    cell = value[ROW]
    return isinstance(cell, str) or (isinstance(cell, list) and all(isinstance(turn, Mapping) for turn in cell))


def as_prompts(prompts: Any) -> list[Prompt]:
    """One prompt or several, as a list.

    Raises:
        RecipeError: see `Prompt.of`; or there are none.
    """
    if is_one_prompt(prompts):
        several = [prompts]
    elif isinstance(prompts, bytes | Mapping | Set | PathLike) or not isinstance(prompts, Iterable):
        raise RecipeError(f"the prompt is {shortened(repr(prompts))}", expected=_EXPECTED, hint=_hint(prompts))
    else:
        several = list(prompts)
    if not several:
        raise RecipeError("there are no prompts", expected="at least one")
    return [Prompt.of(value, f"prompt {i}") for i, value in enumerate(several, 1)]


def times_before(prompts: Iterable[str], before: Iterable[str] = ()) -> list[int]:
    """How often each prompt stands further ahead in the list, or in another one that came `before`; of conversations
    all turns count."""
    seen = Counter(Prompt.of(prompt).key for prompt in before)
    counts = []
    for key in (Prompt.of(prompt).key for prompt in prompts):
        counts.append(seen[key])
        seen[key] += 1
    return counts


def _message(turn: Any, where: str) -> Message:
    if not isinstance(turn, Mapping):
        raise RecipeError(f"{where} is {shortened(repr(turn))}", expected='{"role": …, "content": …}')
    others = [key for key, value in turn.items() if key not in ("role", "content") and value is not None]
    role, content = turn.get("role"), turn.get("content")
    if isinstance(content, Sequence) and not isinstance(content, str) and content and all(map(_is_text_part, content)):
        content = "".join(part["text"] for part in content)
    if others or not isinstance(role, str) or not role or not isinstance(content, str):
        raise RecipeError(
            f"{where} is {shortened(repr(dict(turn)))}", expected='{"role": …, "content": …}, both of them texts'
        )
    for text in (role, content):
        require_unicode(text, where)
    return Message(role, content)


def _hint(value: Any) -> str | None:
    """What to do with something that a prompt can be made from."""
    if isinstance(value, bytes):
        return 'its text: value.decode("utf-8")'
    if isinstance(value, PathLike):
        return "the lines of the file: Path(…).read_text().splitlines(), or --prompts on the command line"
    if isinstance(value, Set):
        return "a list: the order of a set changes"
    if isinstance(value, Mapping) and "role" in value:
        return "a conversation is a list of messages: [message]"
    if isinstance(value, Mapping):
        return 'the column with the prompts, such as rows["prompt"]'
    return None


def _is_text_part(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)
