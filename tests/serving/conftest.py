"""One server with a tiny model, on loopback, for all tests of this folder."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.testing.tiny import tiny_policy

KEY = "sea-test-key"
USER = [{"role": "user", "content": "the rain"}]


@dataclass
class Running:
    """A server that runs: its address, its worker, and two clients for it."""

    url: str
    server: Any
    client: Any
    http: Any

    def count(self, name: str) -> float:
        """A number of its metrics."""
        lines = self.server.worker.metrics.text().decode().splitlines()
        return float(next(line.rpartition(" ")[2] for line in lines if line.startswith(f"{name} ")))

    def until(self, met: Callable[[], bool], seconds: float = 30.0) -> bool:
        """Whether something comes true in time."""
        end = time.monotonic() + seconds
        while not met() and time.monotonic() < end:
            time.sleep(0.01)
        return met()


def send(running: Running, **more: Any) -> socket.socket:
    """A request on a line of its own, which can be cut."""
    body = json.dumps({"model": "tiny+endless", "messages": USER, **more}).encode()
    host, _, port = running.url.removeprefix("http://").partition(":")
    line = socket.create_connection((host, int(port)))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    line.sendall(head.encode() + body)
    return line


def block(running: Running) -> socket.socket:
    """A request that is being run, alone and for ever: those that come after it wait until it is closed."""
    runs = running.count("sea_batch_prompts_count")
    line = send(running, sea={"isolated": True})
    assert running.until(lambda: running.count("sea_batch_prompts_count") > runs)
    return line


def recipe(**more: Any) -> Recipe:
    length = {"name": "length", "target": 6.0, "tolerance": 2.0}
    return Recipe.parse({"energies": [{"name": "reference"}, length], "max_new_tokens": 12, **more})


def recipes() -> dict[str, Recipe]:
    """The first is quick; the others never end by themselves, the last one not even its first draws."""
    return {
        "short": recipe(sampler={"name": "suffix-mh", "budget": 5.0}),
        "endless": recipe(sampler={"name": "suffix-mh", "steps": 10**6}),
        "wide": recipe(sampler={"name": "best-of-n", "budget": 4000.0, "chains": 1}),
        "drafted": recipe(initializer={"name": "draft", "text": "it is"}, sampler={"name": "suffix-mh", "budget": 3.0}),
    }


def need_the_extra() -> None:
    """Skip the test where the packages of a server, or the client, are not installed."""
    for package in ("fastapi", "uvicorn", "prometheus_client", "openai"):
        pytest.importorskip(package, reason=f"{package} is not installed (the extras serve and test)")


def start(
    limits: Any, keys: tuple[str, ...] = (KEY,), model: str = "tiny", **menu: Any
) -> tuple[Any, str, threading.Thread]:
    """A server in a thread: the server, its address and the thread."""
    from sea_toolkit.serving.engine import Engine
    from sea_toolkit.serving.menu import Menu
    from sea_toolkit.serving.server import Server, bound_socket

    offered = Menu(model, **{"recipes": recipes(), "limits": limits, **menu})
    server = Server(Engine(offered, PluginHub.discover(plugins=[]), policy=tiny_policy()), keys)
    place = bound_socket("127.0.0.1", 0, keys)
    url = f"http://127.0.0.1:{place.getsockname()[1]}"
    thread = threading.Thread(target=server.serve_on, args=(place,), daemon=True)
    thread.start()
    return server, url, thread


@pytest.fixture(scope="package")
def running() -> Iterator[Running]:
    need_the_extra()
    import httpx2
    import openai

    from sea_toolkit.serving.limits import Limits

    server, url, thread = start(Limits(seconds=30.0, waiting=3, window=0.05, drain=0.0))
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=60)
    found = Running(url, server, client, httpx2.Client(base_url=url, timeout=60))
    assert found.until(server.worker.ready.is_set)
    assert found.until(lambda: server.started)
    yield found
    server.worker.stop(0.0)
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()
