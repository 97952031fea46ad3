"""Twelve prompts, one of them three times, in six shards of two, and what works on them."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.runs.session import Session
from sea_toolkit.shards.make_plan import make_plan
from sea_toolkit.shards.merge import write_jsonl
from sea_toolkit.shards.prompts_file import content_of
from sea_toolkit.shards.store import Store
from sea_toolkit.shards.worker import ShardWorker
from sea_toolkit.util.conversation import as_prompts
from tests.helpers import hub, tiny_policy

PROMPTS = ["the rain", "a", "the rain", "in and on", "b", "the rain", "it is", "c", "a rain", "so", "in the sea", "and"]
RECIPE = {
    "sampler": {"name": "suffix-mh", "steps": 4, "chains": 2},
    "energies": [{"name": "reference"}],
    "max_new_tokens": 4,
}
Score = Callable[[list[str], list[str]], list[float]]


def lengths(prompts: list[str], texts: list[str]) -> list[float]:
    return [float(len(text)) for text in texts]


class Many:
    """A folder of the twelve prompts, and workers for it in this process or in forks of it."""

    def __init__(self, folder: Path, score: Score = lengths) -> None:
        self.folder, self.score = folder, score
        self.session = Session(hub(), policy=tiny_policy())
        content = content_of(as_prompts(PROMPTS))
        plan = make_plan(
            self.compose(), 12, hashlib.sha256(content).hexdigest(), 2, checkpoint_every=1, explains=False, threads=1
        )
        self.store = Store.begin(folder, plan, content)

    def compose(self) -> Composition:
        return self.session.compose(
            Recipe.parse(RECIPE), {"mine": (1.0, lambda prompts, texts: self.score(prompts, texts))}
        )

    def work(self, shards: range = range(6)) -> None:
        worker = ShardWorker(self.store, self.session, self.compose)
        worker.work(shards, lambda shard: None)

    def fork(self) -> int:
        """Start a worker of its own; the process's id."""
        child = os.fork()
        if child == 0:
            code = 70
            try:
                self.work()
                code = 0
            finally:
                os._exit(code)
        return child

    def merged(self) -> bytes:
        path = self.folder.with_suffix(".jsonl")
        write_jsonl(self.store, path)
        return path.read_bytes()


def ended(process: int) -> int:
    """The exit code of a process that ends; −9 if it was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="session")
def serial(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What one process gives that nobody disturbs."""
    if sys.platform == "win32":
        pytest.skip("a process is not forked here")
    many = Many(tmp_path_factory.mktemp("serial") / "out")
    many.work()
    return many.merged()
