"""Bodies of responses as OpenAI's API has them, with what is ours under `sea`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sea_toolkit.runs.explanation import AnswerToken
from sea_toolkit.runs.result import finite
from sea_toolkit.serving.answers import Answer, Choice
from sea_toolkit.serving.errors import without_paths

LOWEST = -9999.0
"""Stands for a log π of −inf, which JSON lacks; OpenAI's API has the same number for it."""


def usage(answers: Sequence[Answer]) -> dict[str, Any]:
    """Tokens of the prompts and of the answers that are given; what was spent besides is told in `sea`."""
    read = sum(answer.prompt_tokens for answer in answers)
    written = sum(choice.tokens for answer in answers for choice in answer.choices)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def spent(answers: Sequence[Answer]) -> dict[str, Any]:
    """How the run went."""
    first = answers[0]
    return {
        "samples": sum(answer.samples for answer in answers),
        "flops": sum(answer.flops for answer in answers),
        "sampler": first.sampler,
        "steps": first.steps,
        "seed": first.seed,
        "status": first.status,
        "together": first.together,
        "energy": [[finite(value) for value in answer.energy] for answer in answers],
        "notes": list(dict.fromkeys(without_paths(note) for answer in answers for note in answer.notes)),
    }


def finish_reason(choice: Choice) -> str:
    """ "stop" for an answer that ended, "length" for one that its length or the time has cut."""
    return "stop" if choice.ended else "length"


def of_choice(choice: Choice) -> dict[str, Any]:
    """What is ours of an answer."""
    return {
        "energy": finite(choice.energy),
        "terms": {label: finite(value) for label, value in choice.terms.items()},
        "rewards": {label: finite(value) for label, value in choice.rewards.items()},
        "cut": choice.cut,
    }


def chat_logprobs(tokens: Sequence[AnswerToken] | None, text: str) -> dict[str, Any] | None:
    """log π of the tokens of an answer in a chat."""
    if tokens is None:
        return None
    data = text.encode()
    content = [
        {"token": t.text, "logprob": _number(t.log_prob), "bytes": list(data[slice(*t.span)]), "top_logprobs": []}
        for t in tokens
    ]
    return {"content": content, "refusal": None}


def text_logprobs(tokens: Sequence[AnswerToken] | None, text: str) -> dict[str, Any] | None:
    """log π of the tokens of a continuation; offsets count characters."""
    if tokens is None:
        return None
    data = text.encode()
    return {
        "tokens": [t.text for t in tokens],
        "token_logprobs": [_number(t.log_prob) for t in tokens],
        "top_logprobs": None,
        "text_offset": [len(data[: t.span[0]].decode(errors="ignore")) for t in tokens],
    }


def _number(log_prob: float) -> float:
    return log_prob if math.isfinite(log_prob) else LOWEST


class Reply:
    """The bodies of one response.

    Args:
        identity: of the response.
        created: seconds since 1970.
        model: as the client has named it.
    """

    whole_object: str
    part_object: str

    def __init__(self, identity: str, created: int, model: str) -> None:
        self.head = {"id": identity, "created": created, "model": model}

    def whole(self, answers: Sequence[Answer]) -> dict[str, Any]:
        """The body of a plain response; choices of several prompts follow each other."""
        choices = [choice for answer in answers for choice in answer.choices]
        listed = [self.choice(i, choice) for i, choice in enumerate(choices)]
        return {
            **self.head, "object": self.whole_object, "choices": listed, "usage": usage(answers), "sea": spent(answers),
        }  # fmt: skip

    def part(self, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        """One event of a stream."""
        return {**self.head, "object": self.part_object, "choices": choices, **more}

    def choice(self, index: int, choice: Choice) -> dict[str, Any]:
        """An answer of a plain response."""
        raise NotImplementedError

    def delta(self, index: int, choice: Choice | None, *, begins: bool = False) -> dict[str, Any]:
        """An answer's part of a stream: nothing yet, or all of it."""
        raise NotImplementedError


class ChatReply(Reply):
    """Of `/v1/chat/completions`."""

    whole_object, part_object = "chat.completion", "chat.completion.chunk"

    def choice(self, index: int, choice: Choice) -> dict[str, Any]:
        message = {"role": "assistant", "content": choice.text, "refusal": None}
        return {
            "index": index,
            "message": message,
            "logprobs": chat_logprobs(choice.logprobs, choice.text),
            "finish_reason": finish_reason(choice),
            "sea": of_choice(choice),
        }

    def delta(self, index: int, choice: Choice | None, *, begins: bool = False) -> dict[str, Any]:
        start = {"role": "assistant"} if begins else {}
        if choice is None:
            return {"index": index, "delta": start, "logprobs": None, "finish_reason": None}
        logprobs = chat_logprobs(choice.logprobs, choice.text)
        return {"index": index, "delta": {**start, "content": choice.text}, "logprobs": logprobs, "finish_reason": None}


class TextReply(Reply):
    """Of `/v1/completions`."""

    whole_object = part_object = "text_completion"

    def choice(self, index: int, choice: Choice) -> dict[str, Any]:
        return {
            "index": index,
            "text": choice.text,
            "logprobs": text_logprobs(choice.logprobs, choice.text),
            "finish_reason": finish_reason(choice),
            "sea": of_choice(choice),
        }

    def delta(self, index: int, choice: Choice | None, *, begins: bool = False) -> dict[str, Any]:
        if choice is None:
            return {"index": index, "text": "", "logprobs": None, "finish_reason": None}
        logprobs = text_logprobs(choice.logprobs, choice.text)
        return {"index": index, "text": choice.text, "logprobs": logprobs, "finish_reason": None}
