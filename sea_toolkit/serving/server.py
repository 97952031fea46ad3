"""The socket, the loop, and the end of a server: requests that are there are finished, or end with the best so far."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Collection, Iterator
from types import FrameType

import uvicorn

from sea_toolkit.errors import RecipeError
from sea_toolkit.serving.app import make_app
from sea_toolkit.serving.engine import Engine
from sea_toolkit.serving.metrics import Metrics
from sea_toolkit.serving.waiting import WaitingJobs
from sea_toolkit.serving.worker import Worker

_REST = 10
"""Seconds that a run which is stopped needs at most to hand out its best."""


def bound_socket(host: str, port: int, keys: Collection[str]) -> socket.socket:
    """A listening place.

    Args:
        host: name or address.
        port: its number, 0 for any that is free.
        keys: of clients.

    Raises:
        RecipeError: another machine could reach the server, and there is no key; the port is in use, or the host is
            none of this machine.
    """
    if not keys and not is_loopback(host):
        raise RecipeError(
            f"--host {host} can be reached from other machines, and there is no API key",
            expected="a key that clients have to send, or a host such as 127.0.0.1",
            hint="SEA_API_KEY=… in the environment, or --api-key",
        )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        place = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise RecipeError(f"--host {host}: {error}", expected="a name or an address of this machine") from error
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        place.bind(address)
    except OSError as error:
        place.close()
        raise RecipeError(
            f"cannot listen on {host} port {port}: {error.strerror}",
            expected="a port that is free",
            hint="--port 0 takes any that is free",
        ) from error
    return place


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host of this name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Server(uvicorn.Server):
    """Serves until a signal comes; the first one lets requests be finished, a second Ctrl-C does not.

    Args:
        engine: with its menu; its models are loaded while the server answers already.
        keys: of clients.

    Attributes:
        worker: the thread that runs.
    """

    def __init__(self, engine: Engine, keys: Collection[str] = ()) -> None:
        self.limits = engine.menu.limits
        waiting = WaitingJobs(self.limits.waiting, self.limits.window, self.limits.batch)
        self.worker = Worker(engine, waiting, Metrics(waiting.__len__))
        self.worker.on_end = self._end
        config = uvicorn.Config(
            make_app(self.worker, keys),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=round(self.limits.drain + _REST),
        )
        super().__init__(config)

    def serve_on(self, place: socket.socket) -> None:
        """Serve until the end.

        Raises:
            SeaError: the models could not be loaded.
            Exception: the worker has failed, which is a defect.
        """
        self.worker.start()
        asyncio.run(self.serve(sockets=[place]))
        self.worker.stop(0.0)
        self.worker.join(_REST)
        if self.worker.failure is not None:
            raise self.worker.failure

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; called by a signal."""
        self.worker.stop(self.limits.drain)
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's, but for the signals that it sends again once it is done: they have had their effect."""
        with super().capture_signals():
            try:
                yield
            finally:
                self._captured_signals.clear()

    def _end(self) -> None:
        """The worker has ended: nothing can be answered any more."""
        self.should_exit = True
