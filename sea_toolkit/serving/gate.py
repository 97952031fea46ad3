"""What every request passes before anything of it is read: who asks, which host is meant, how much is sent.

Plain ASGI: a middleware that wraps the request, as `@app.middleware("http")` does, would hide a client that leaves.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sea_toolkit.serving.errors import ApiError, loading

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_OPEN = "/health"


class Gate:
    """An ASGI app before another one.

    Args:
        app: the other one.
        keys: of clients; without any, only names of this machine are served, so that no web page that a browser shows
            here can have its own name point to the server.
        largest: bytes of a body.
        is_ready: whether the models are loaded.
        responded: told the path and the status of every response.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: Collection[str],
        largest: int,
        is_ready: Callable[[], bool],
        responded: Callable[[str, int], None],
    ) -> None:
        self.app, self.largest, self.is_ready, self.responded = app, largest, is_ready, responded
        self._digests = [_digest(key.encode()) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.responded(scope["path"], message["status"])
            await send(message)

        try:
            self._refuse(scope)
        except ApiError as error:
            await respond(error, counted)
            return
        await self.app(scope, self._bounded(receive), counted)

    def _refuse(self, scope: Scope) -> None:
        """Raises: ApiError if the request is not let in."""
        headers = {name.decode("latin-1").lower(): value for name, value in scope["headers"]}
        host = headers.get("host", b"").decode("latin-1")
        if not self._digests and _name_of(host) not in LOOPBACK:
            raise ApiError(403, f"without an API key the server answers to {sorted(LOOPBACK)} alone", code="wrong_host")
        if scope["path"] == _OPEN:
            return
        self._refuse_key(headers.get("authorization", b""))
        length = headers.get("content-length", b"0")
        if not length.isdigit() or int(length) > self.largest:
            raise too_large(self.largest)
        if scope["method"] == "POST" and not self.is_ready():
            raise loading()

    def _refuse_key(self, authorization: bytes) -> None:
        """Compare with every key, in a time that depends on none of them."""
        if not self._digests:
            return
        kind, _, given = authorization.partition(b" ")
        digest = _digest(given.strip())
        same = [hmac.compare_digest(digest, known) for known in self._digests]
        if kind.lower() != b"bearer" or not any(same):
            raise ApiError(
                401, "the API key is missing or wrong", code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"}
            )

    def _bounded(self, receive: Receive) -> Receive:
        read = 0

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.largest:  # of another type, FastAPI would take it for a body that is no JSON
                raise HTTPException(413, too_large(self.largest).message)
            return message

        return bounded


def too_large(largest: int) -> ApiError:
    """The error for a body that is too long."""
    return ApiError(413, f"the body is too long; expected at most {largest} bytes", code="too_large")


async def respond(error: ApiError, send: Send) -> None:
    """Send an error."""
    headers = {"content-type": "application/json", **error.headers}
    start = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": start})
    await send({"type": "http.response.body", "body": json.dumps(error.body()).encode()})


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _name_of(host: str) -> str | None:
    """The name in a `Host` header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
