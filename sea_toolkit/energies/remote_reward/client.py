"""JSON over HTTP to a server of rewards: several requests at a time, asked again where that may help."""

from __future__ import annotations

import functools
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import httpx2
import torch

from sea_toolkit.energies.remote_reward.headers import header_values
from sea_toolkit.errors import ModelError, shortened
from sea_toolkit.util.json_text import parse_json
from sea_toolkit.util.printable import printable

AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))
"""Statuses after which a request is sent again."""

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds before the second attempt, doubled before each one after it, and the most that is waited."""

LARGEST = 64 * 2**20
"""Bytes of the longest answer that is read."""

ABSENT = frozenset((400, 404, 405, 501))
"""Statuses of a server that does not have what is asked for: vLLM says 400 of a task that its model does not do."""


class _Failed(Exception):
    """One attempt failed.

    Args:
        reason: in words.
        again: another attempt may succeed.
        after: seconds to wait, as the server wishes.
        status: that the server answered with, if it did.
    """

    def __init__(
        self, reason: str, *, again: bool = False, after: float | None = None, status: int | None = None
    ) -> None:
        super().__init__(reason)
        self.reason, self.again, self.after, self.status = reason, again, after, status


@dataclass(frozen=True)
class Request:
    """What is asked: a path behind the server's URL, and JSON to post; without, the path is got."""

    path: str
    data: Mapping[str, Any] | None = None


class Client:
    """Asks a server.

    A redirect is not followed: only the server that the user allowed is asked.

    Args:
        url: of the server, without a slash at its end.
        headers: name → text with `$NAME` for environment variables; see `header_values`.
        timeout: seconds for one attempt, from the connection to the answer's last byte.
        retries: further attempts of a request that failed.
        max_concurrency: requests at a time.
        sleep: waits between attempts, `sleep(seconds) -> bool`, true where the wait was cut short.

    Raises:
        RecipeError: a header without an environment variable, or one whose variable is not set.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        timeout: float,
        retries: int,
        max_concurrency: int,
        sleep: Callable[[float], bool] | None = None,
    ) -> None:
        self.url, self.timeout, self.retries, self.max_concurrency = url, timeout, retries, max_concurrency
        self._headers, self._sleep = header_values(headers), sleep
        self._jitter = torch.Generator()
        self._jitter.seed()  # clients that failed together come back at different times; no number depends on it

    def ask(self, requests: Sequence[Request]) -> list[Any]:
        """The JSON that answers each request, in their order; the first that fails for good ends them all.

        Raises:
            ModelError: the server is not there, does not answer in time, refuses, or answers something else.
        """
        answers: list[Any] = [None] * len(requests)
        left, done = SimpleQueue[int](), SimpleQueue[tuple[int, Any, BaseException | None]]()
        ended = threading.Event()

        def work(http: httpx2.Client) -> None:
            while not (ended.is_set() or left.empty()):
                try:
                    index = left.get_nowait()
                except Empty:  # another thread was faster
                    return
                try:
                    done.put((index, self._answer(http, requests[index], self._sleep or ended.wait), None))
                except BaseException as error:  # told where the answers are waited for
                    done.put((index, None, error))

        for index in range(len(requests)):
            left.put(index)
        with self._http() as http:
            try:
                for _ in range(min(self.max_concurrency, len(requests))):
                    # a program that ends, by Ctrl-C say, does not wait for a server that is silent
                    threading.Thread(target=work, args=(http,), name="sea-remote-reward", daemon=True).start()
                for _ in requests:
                    index, answers[index], error = done.get()
                    if isinstance(error, _Failed):
                        raise self.error(error.reason) from error.__cause__
                    if error is not None:
                        raise error
            finally:
                ended.set()
        return answers

    def try_once(self, request: Request) -> Any:
        """The answer to one request, without further attempts; None where the server does not have that (`ABSENT`).

        Raises:
            ModelError: as `ask`.
        """
        with self._http() as http:
            try:
                return self._attempt(http, request)
            except _Failed as failed:
                if failed.status in ABSENT:
                    return None
                raise self.error(failed.reason) from failed.__cause__

    def error(self, reason: str, *, expected: str | None = None, hint: str | None = None) -> ModelError:
        """An error of this server; no value of a header is in it."""
        text = f"the reward server {self.url} {reason}"
        for value in self._headers.values():
            for secret in (value, *value.split()):
                text = text.replace(secret, "…") if len(secret) > 3 else text
        return ModelError(printable(text, one_line=True), expected=expected, hint=hint)

    def _http(self) -> httpx2.Client:
        limits = httpx2.Limits(max_connections=self.max_concurrency)
        return httpx2.Client(headers=self._headers, timeout=self.timeout, limits=limits, verify=_certificates())

    def _answer(self, http: httpx2.Client, request: Request, sleep: Callable[[float], bool]) -> Any:
        wait = FIRST_WAIT
        for left in range(self.retries, -1, -1):
            try:
                return self._attempt(http, request)
            except _Failed as failed:
                if not failed.again or not left:
                    tried = f" ({self.retries + 1} attempts)" if failed.again and self.retries else ""
                    raise _Failed(failed.reason + tried) from failed.__cause__
                share = 0.5 + 0.5 * float(torch.rand((), generator=self._jitter))
                if sleep(min(LONGEST_WAIT, failed.after if failed.after is not None else wait * share)):
                    raise
                wait *= 2
        raise AssertionError  # the last attempt returns or raises

    def _attempt(self, http: httpx2.Client, request: Request) -> Any:
        method = "GET" if request.data is None else "POST"
        ends, body = time.monotonic() + self.timeout, bytearray()
        late = _Failed(f"did not answer within {self.timeout:g} s", again=True)
        try:
            with http.stream(method, self.url + request.path, json=request.data) as response:
                for part in response.iter_bytes():
                    body += part
                    if time.monotonic() > ends:
                        raise late
                    if len(body) > LARGEST:
                        raise _Failed(f"sent more than {LARGEST >> 20} MiB")
        except httpx2.TimeoutException as error:
            raise late from error
        except httpx2.TransportError as error:
            what = "cannot be reached" if isinstance(error, httpx2.ConnectError) else "broke off the connection"
            raise _Failed(f"{what}: {error or type(error).__name__}", again=True) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise _Failed(f"cannot be asked: {error}") from error
        return self._read(response, bytes(body), request.path)

    def _read(self, response: httpx2.Response, body: bytes, path: str) -> Any:
        status, kind = response.status_code, response.headers.get("content-type", "an answer without a type")
        if not 200 <= status < 300:
            raise _Failed(
                f"answered {path} with status {status}{_message(body)}",
                again=status in AGAIN,
                after=_wish(response),
                status=status,
            )
        try:
            return parse_json(body)
        except ValueError:
            begin = shortened(body[:200].decode(errors="replace"), 60)
            raise _Failed(f"answered {path} with {kind} that is no JSON: {begin!r}") from None


@functools.cache
def _certificates() -> ssl.SSLContext:
    """The machine's certificates, read once."""
    return ssl.create_default_context()


def _message(body: bytes) -> str:
    """What a server says of its refusal: FastAPI's `detail`, OpenAI's `error.message` or `message`, else its first
    words."""
    try:
        data = parse_json(body)
    except ValueError:
        data = None
    if isinstance(data, Mapping):
        error = data.get("error")
        found = error.get("message") if isinstance(error, Mapping) else error
        data = found or data.get("message") or data.get("detail") or data
    text = shortened(str(data) if data else body[:400].decode(errors="replace"), 300).strip()
    return f": {text}" if text else ""


def _wish(response: httpx2.Response) -> float | None:
    """Seconds of a Retry-After header; a date in it is not read."""
    text = response.headers.get("retry-after", "")
    return float(text) if text.isdecimal() else None
