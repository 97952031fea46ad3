"""What is let in before anything of a request is read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("starlette", reason="starlette is not installed (the extra serve)")

from sea_toolkit.serving.gate import Gate


async def inside(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def status(host: str, *, path: str = "/v1/models", method: str = "GET", ready: bool = True, **headers: str) -> int:
    """Of the response to a request."""
    sent: list[int] = []
    keys = ["key"] if "authorization" in headers else []
    gate = Gate(inside, keys=keys, largest=9, is_ready=lambda: ready, responded=lambda path, code: sent.append(code))
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in {"host": host, **headers}.items()]
    scope = {"type": "http", "path": path, "method": method, "headers": named}

    async def nothing(*message: Any) -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    asyncio.run(gate(scope, nothing, nothing))
    return sent[0]


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:80"])
def test_this_machine_is_served_under_its_own_names(host: str) -> None:
    assert status(host) == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8000", "", "[::1", "localhost.evil.example"])
def test_without_a_key_a_web_page_cannot_have_its_own_name_point_here(host: str) -> None:
    assert status(host) == 403
    assert status(host, path="/health") == 403
    assert status(host, authorization="Bearer key") == 200


@pytest.mark.parametrize("given", ["Bearer kez", "Bearer ", "bearer key2", "Basic key", "key", ""])
def test_another_key_is_refused(given: str) -> None:
    assert status("any.example", authorization=given) == 401


def test_requests_wait_outside_until_the_models_are_loaded() -> None:
    assert status("localhost", method="POST", ready=False) == 503
    assert status("localhost", path="/health", ready=False) == 200


@pytest.mark.parametrize("length", ["10", "-1", "nine", "1e3"])
def test_a_length_that_is_too_much_or_none_is_refused(length: str) -> None:
    assert status("localhost", method="POST", content_length=length) == 413
    assert status("localhost", method="POST", content_length="9") == 200
