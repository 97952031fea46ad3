"""Work in several processes that find each other as those of torchrun do: forks, so that nothing is imported again."""

from __future__ import annotations

import os
import pickle
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.cli.processes import Ended, sea_toolkit


def launch(size: int) -> list[dict[str, str]]:
    """The environment of each process, as torchrun sets it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "tests",
        "GLOO_SOCKET_IFNAME": "lo",
    }  # fmt: skip
    return [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(size)]


def commands(size: int, *words: object) -> list[Ended]:
    """`sea-toolkit WORDS` in each of so many processes."""
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(lambda told: sea_toolkit([str(w) for w in words], environment=told), launch(size)))


def each(size: int, work: Callable[[], Any]) -> list[Any]:
    """What the work gives in each of so many processes, as far as it can be pickled; what it raises is raised here."""
    if sys.platform == "win32":
        pytest.skip("a process is not forked here")
    running = [_fork(environment, work) for environment in launch(size)]
    found = [_result(*one) for one in running]
    for value in found:
        if isinstance(value, BaseException):
            raise value
    return found


def _fork(environment: dict[str, str], work: Callable[[], Any]) -> tuple[int, int]:
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.environ.update(environment)
            try:
                found = work()
            except BaseException as error:
                traceback.print_exc()
                found = AssertionError(f"process {environment['RANK']}: {type(error).__name__}: {error}")
            with open(theirs, "wb") as pipe:
                pipe.write(pickle.dumps(found))
        finally:
            os._exit(0)
    os.close(theirs)
    return child, ours


def _result(child: int, pipe: int) -> Any:
    with open(pipe, "rb") as answer:
        content = answer.read()
    os.waitpid(child, 0)
    return pickle.loads(content) if content else AssertionError("the process has ended without a word")


def words(ended: Sequence[Ended]) -> list[tuple[int, str, str]]:
    """Exit code, standard output and standard error of each."""
    return [(one.code, one.stdout.decode(), one.stderr.decode()) for one in ended]
