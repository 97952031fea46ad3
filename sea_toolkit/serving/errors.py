"""Errors as OpenAI's API says them: a status, and a body with message, type, param and code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sea_toolkit.errors import ModelError, RecipeError, SeaError, did_you_mean

INVALID, SERVER = "invalid_request_error", "server_error"
_ARM = re.compile(r"(str|int|float|bool|dict|list|constrained-.*|function-.*|.*\[.*\])")
"""What pydantic writes into a place for one of several types."""

_FOR_ALL = ("did you mean", "one of", "there are none")
"""Beginnings of hints that do not speak of the command line."""

_PATH = re.compile(r"""(?<![\w+.:/<])(?:~|[A-Za-z]:\\)?(?:[/\\][\w.@+-]+){2,}/?""")


class ApiError(Exception):
    """What a client is told.

    Args:
        status: of HTTP.
        message: in words, without paths of this machine.
        param: the key of the request that is wrong.
        code: a word for programs.
        kind: "invalid_request_error" for a mistake of the client, "server_error" for one of the server.
        headers: further ones, such as `Retry-After`.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        kind: str = INVALID,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code, self.kind, self.headers = status, param, code, kind, dict(headers or {})
        self.message = _writable(message)

    def body(self) -> dict[str, Any]:
        """The body of the response."""
        param = None if self.param is None else _writable(self.param)
        return {"error": {"message": self.message, "type": self.kind, "param": param, "code": self.code}}


def refused(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """The error for a request that asks for what it cannot have."""
    return ApiError(400, message, param=param, code=code)


def busy(seconds: int) -> ApiError:
    """The error for a queue that is full; the client may come back after so many seconds."""
    return ApiError(
        429, f"the queue is full; come back in about {seconds} s", code="queue_full", kind="rate_limit_error",
        headers={"Retry-After": str(seconds)},
    )  # fmt: skip


def stopping() -> ApiError:
    """The error for a request that a server which is being stopped cannot answer any more."""
    return ApiError(503, "the server is being stopped", code="stopping", kind=SERVER, headers={"Retry-After": "30"})


def loading() -> ApiError:
    """The error for a request that comes before the models are loaded."""
    return ApiError(503, "the models are being loaded", code="loading", kind=SERVER, headers={"Retry-After": "5"})


def internal() -> ApiError:
    """The error for a fault of the server, whose log tells what happened."""
    return ApiError(500, "the server could not answer; its log tells why", kind=SERVER)


def of_sea_error(error: SeaError, param: str, prompt: str = "messages") -> ApiError:
    """A mistake of the request in its own words; a fault of the server, its plugins or its machine without any.

    Args:
        error: of a recipe, or of a run.
        param: the key of the request that a mistake is about.
        prompt: the key that has the prompts, which may be too long.
    """
    if not isinstance(error, RecipeError | ModelError):
        return internal()
    too_long = re.search(r" has \d+ tokens, and \d+ more", error.got) is not None
    code, param = ("context_length_exceeded", prompt) if too_long else (None, param)
    words = [error.got, *([f"expected: {error.expected}"] if error.expected else ())]
    if error.hint and error.hint.startswith(_FOR_ALL):
        words.append(error.hint)
    return refused(without_paths("; ".join(words)), param, code)


def without_paths(text: str) -> str:
    """A text that was written for a person at this machine, without the paths in it."""
    return _PATH.sub("(a file of the server)", text)


def of_validation(errors: Sequence[Any], known: Mapping[str, Sequence[str]]) -> ApiError:
    """The first mistake that pydantic has found.

    Args:
        errors: as pydantic lists them.
        known: table of the request → its keys, for a suggestion.
    """
    first = errors[0]
    place = [str(part) for part in first["loc"][1:] if not _ARM.fullmatch(str(part))]
    if not place or first["type"] == "json_invalid":  # whose place is that of a character
        reason = first.get("ctx", {}).get("error", first["msg"])
        return refused(f"the body is no JSON object of the type application/json: {reason}")
    param = ".".join(place)
    message = f"{param}: {first['msg']}"
    if first["type"] == "extra_forbidden":
        message += f" ({did_you_mean(place[-1], known.get('.'.join(place[:-1]), ()))})"
    return refused(message, param)


def _writable(text: str) -> str:
    """The text without halves of characters, which UTF-8 cannot write."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
