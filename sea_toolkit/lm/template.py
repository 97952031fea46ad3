"""Conversations as the text that a chat model reads: one renderer for policies, rewards and judges."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date as Date
from functools import cached_property
from typing import Any

from sea_toolkit.errors import ModelError, RecipeError, did_you_mean
from sea_toolkit.util.conversation import Message
from sea_toolkit.util.paths import user_path
from sea_toolkit.util.time_limit import OutOfTime, time_limit

MARK = "\u2063ANSWER\u2063"
"""Placeholder that marks an answer's place in the rendered conversation; no template trims these characters."""

SECONDS = 10.0
"""That a template may take for one conversation; it needs milliseconds, unless it loops."""

_QUESTION = "\u2063QUESTION\u2063"

_OWN = ("messages", "conversation", "add_generation_prompt", "continue_final_message", "chat_template", "tokenize")
_DATE_CALL = re.compile(r"""strftime_now\(\s*(["'])(.*?)\1\s*\)""")


@dataclass(frozen=True)
class AnswerFrame:
    """What a template writes around an assistant's answer.

    Attributes:
        before: text up to the answer's first character.
        after: text after its last one: the end of the turn.
        trims: whether the template drops white space at the answer's ends.
    """

    before: str
    after: str
    trims: bool


class ChatTemplate:
    """A chat template with the values of its variables.

    Args:
        tokenizer: of the model; its template is used unless `name` says another.
        owner: the model's name, for messages.
        name: one of the tokenizer's named templates, or a file with a Jinja template.
        options: variables of the template, such as `{"enable_thinking": False}`.
        system: a system message for conversations without one.
        date: what `strftime_now` in the template gives; today if None.
        way_out: what a person can do about a template that fails.

    Raises:
        ModelError: there is no template, or several and none named.
        RecipeError: no such template, or a variable that the template does not mention.
    """

    def __init__(
        self,
        tokenizer: Any,
        owner: str,
        *,
        name: str | None = None,
        options: Mapping[str, Any] | None = None,
        system: str | None = None,
        date: Date | None = None,
        way_out: str = 'template = "plain", or another system prompt (policy.system)',
    ) -> None:
        self.tokenizer, self.owner, self.options, self.system = tokenizer, owner, dict(options or {}), system
        self.date, self.way_out = date or Date.today(), way_out
        self.written = _source(tokenizer, owner, name)
        for key in self.options:
            self._refuse_unknown(key)
        self.reads_date = _DATE_CALL.search(self.written) is not None
        self.source = _DATE_CALL.sub(self._literal_date, self.written)

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> str:
        """The conversation as text.

        Args:
            messages: its turns; the template's own system message comes first if there is none among them.
            add_generation_prompt: end with what the template writes before an assistant's answer.

        Raises:
            ModelError: the template refuses the conversation, is broken, takes too long, or leaves a turn out.
        """
        turns = self._with_system(messages)
        try:
            with time_limit(SECONDS):
                text = self._apply(turns, add_generation_prompt, parts=self._takes_parts)
        except OutOfTime as error:
            raise self._failure(f"takes more than {SECONDS:g} seconds to render {_roles(turns)}") from error
        except Exception as error:  # a template may raise anything
            sentence = (str(error).strip() or "no reason given").partition("\n")[0]
            kind = "" if type(error).__name__ == "TemplateError" else f"{type(error).__name__}: "
            raise self._failure(f"cannot render {_roles(turns)}: {kind}{sentence}") from error
        if not text.strip():
            raise self._failure(f"renders nothing for {_roles(turns)}")
        for turn in turns:  # templates may shorten an assistant's turns: its thinking is left out
            if turn.role != "assistant" and turn.content.strip() not in text:
                raise self._failure(f"leaves out the {turn.role} turn {turn.content.strip()[:60]!r}")
        return text

    def around(self, messages: Sequence[Message]) -> AnswerFrame:
        """The text before and after an assistant's answer to the conversation.

        Raises:
            ModelError: see `render`; or the template leaves an assistant's turn out, or writes it more than once.
        """
        return self.place(lambda answer: [*messages, Message("assistant", answer)])

    def place(self, turns: Callable[[str], Sequence[Message]], *, add_generation_prompt: bool = False) -> AnswerFrame:
        """The text before and after an answer that stands anywhere in a conversation.

        Args:
            turns: makes the conversation of an answer.
            add_generation_prompt: see `render`.

        Raises:
            ModelError: see `render`; or the template leaves the answer out, or writes it more than once.
        """
        text = self.render(turns(MARK), add_generation_prompt=add_generation_prompt)
        if text.count(MARK) != 1:
            role = next(turn.role for turn in turns(MARK) if MARK in turn.content)
            raise self._failure(
                f"writes the answer in the {role}'s turn {text.count(MARK)} times, where one is expected"
            )
        before, _, after = text.partition(MARK)
        spaced = self.render(turns(f" {MARK} "), add_generation_prompt=add_generation_prompt)
        return AnswerFrame(before, after, trims=f" {MARK} " not in spaced)

    @cached_property
    def frame(self) -> AnswerFrame | None:
        """The frame of an answer to a short conversation, or None where the template refuses one."""
        for turns in self._trials():
            try:
                return self.around(turns)
            except ModelError:
                continue
        return None

    @cached_property
    def generation_prompt(self) -> str | None:
        """The end of a rendered prompt, from the user's text on; None where the template refuses a short one."""
        for turns in self._trials():
            try:
                return self.render(turns, add_generation_prompt=True).rpartition(_QUESTION)[2]
            except ModelError:
                continue
        return None

    @cached_property
    def lead(self) -> str:
        """White space that the template writes between the generation prompt and an answer: " " for `[/INST] Hi`."""
        if self.frame is None or self.generation_prompt is None:
            return ""
        between = self.frame.before.rpartition(_QUESTION)[2]
        lead = between.removeprefix(self.generation_prompt)
        return lead if lead.isspace() and lead != between else ""

    @cached_property
    def _takes_parts(self) -> bool:
        """Whether the template wants content as a list of parts: it drops a text, and shows a part's text."""
        for parts in (False, True):
            for turns in self._trials():
                try:
                    if _QUESTION in self._apply(turns, False, parts=parts):
                        return parts
                except OutOfTime:
                    raise
                except Exception:  # the conversation itself will say what is wrong
                    continue
        return False

    def _trials(self) -> list[list[Message]]:
        user = Message("user", _QUESTION)
        return [self._with_system([user]), [Message("system", "You answer questions."), user]]

    def _with_system(self, messages: Sequence[Message]) -> list[Message]:
        if self.system is None or any(turn.role == "system" for turn in messages):
            return list(messages)
        return [Message("system", self.system), *messages]

    def _apply(self, turns: Sequence[Message], add_generation_prompt: bool, *, parts: bool) -> str:
        content = [[{"type": "text", "text": turn.content}] if parts else turn.content for turn in turns]
        conversation = [{"role": t.role, "content": c} for t, c in zip(turns, content, strict=True)]
        rendered = self.tokenizer.apply_chat_template(
            conversation,
            chat_template=self.source,
            add_generation_prompt=add_generation_prompt,
            tokenize=False,
            **self.options,
        )
        return str(rendered)

    def _literal_date(self, call: re.Match[str]) -> str:
        return json.dumps(self.date.strftime(call.group(2)), ensure_ascii=False)

    def _refuse_unknown(self, key: str) -> None:
        if key in _OWN:
            raise RecipeError(f"template_options sets {key!r}", expected="variables of the chat template")
        if re.search(rf"\b{re.escape(key)}\b", self.written) is None:
            names = set(re.findall(r"\b[a-z_]{4,}\b", " ".join(re.findall(r"\{[{%].*?[%}]\}", self.written, re.S))))
            raise RecipeError(
                f"the chat template of {self.owner} has no variable {key!r}", hint=did_you_mean(key, names)
            )

    def _failure(self, what: str) -> ModelError:
        return ModelError(f"the chat template of {self.owner} {what}", hint=self.way_out)


def has_template(tokenizer: Any) -> bool:
    """Whether the tokenizer brings a chat template."""
    return bool(getattr(tokenizer, "chat_template", None))


def _source(tokenizer: Any, owner: str, name: str | None) -> str:
    own = getattr(tokenizer, "chat_template", None)
    named: dict[str, str] = own if isinstance(own, dict) else {"default": own} if own else {}
    if name is not None:
        if name in named:
            return named[name]
        try:
            return user_path(name, "the chat template").read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(
                f"{owner} has no chat template {name!r}, and no such file can be read",
                expected=f"one of {sorted(named)}, or a file with a Jinja template",
            ) from error
    if not named:
        raise ModelError(
            f"the tokenizer of {owner} has no chat template", hint='template = "plain", or an instruct model'
        )
    if "default" not in named:
        raise ModelError(
            f"{owner} has the chat templates {sorted(named)}, and none is the default",
            hint=f'policy.chat_template = "{min(named)}", or template = "plain"',
        )
    return named["default"]


def _roles(turns: Sequence[Message]) -> str:
    return "the turns " + ", ".join(turn.role for turn in turns)
