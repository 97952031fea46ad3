"""The folder of many prompts: which shards are settled, who works on one, and what became of its prompts.

    plan.json, prompts.jsonl   what is asked
    identity.json              models, versions and device of whoever answered first, which all others must share
    working/00017/             the run of a shard that is worked on, or was left by a process that died
    shards/00017/              the same when it is settled: an ordinary run folder, put here whole, by one rename;
                               a shard whose prompts had to be answered one by one has a run folder for each
    failed/0000271.json        a prompt without an answer, and why

A shard is worked on under a lock of the operating system, which a process that dies lets go of. So a shard may be begun
more than once, and is settled once.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from sea_toolkit.errors import SeaError
from sea_toolkit.runs.folder import refuse_used
from sea_toolkit.shards import plan, prompts_file
from sea_toolkit.shards.plan import Plan
from sea_toolkit.shards.prompts_file import PromptsFile, Row
from sea_toolkit.util import run_files
from sea_toolkit.util.locks import hold, is_held, lock_file
from sea_toolkit.work.alike import require_alike

SETTLED, WORKING, FAILED, LOCKS = "shards", "working", "failed", "locks"
GLANCE = 0.05
"""Seconds in which `working` has let go of a lock that it has looked at."""


class Store:
    """A folder of many prompts.

    Args:
        folder: with a plan.

    Raises:
        RecipeError: there is none.
        SeaError: its files are damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.plan = folder, Plan.read(folder)

    @classmethod
    def begin(cls, folder: Path, planned: Plan, content: bytes) -> Store:
        """Begin with a folder, or go on with it where the plan is the same; several processes may do so at once.

        Args:
            folder: a new one, or one of this plan.
            planned: the plan.
            content: of `prompts.jsonl`.

        Raises:
            RecipeError: it was begun with another plan.
            SeaError: it holds something else, or cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with hold(folder / "plan", f"the folder {folder}", waiting=lambda: None):
                if (folder / plan.FILE).exists():
                    Plan.read(folder).refuse_other(planned, folder)
                else:
                    if not (folder / prompts_file.FILE).exists():  # else a process died before the plan was written
                        refuse_used(folder)
                    run_files.write_run_file(folder / prompts_file.FILE, content)
                    planned.write(folder)
        except OSError as error:
            raise run_files.cannot_write(folder, error) from error
        return cls(folder)

    @cached_property
    def prompts(self) -> PromptsFile:
        """The prompts, checked when they are first asked for."""
        return PromptsFile(self.folder, self.plan.batch, self.plan.prompts_sha256)

    def rows(self, shard: int) -> list[Row]:
        """The prompts of a shard."""
        return self.prompts.rows(shard)

    def settled(self) -> set[int]:
        """The shards that nobody needs to work on any more."""
        try:
            return {int(path.name) for path in (self.folder / SETTLED).iterdir() if path.name.isdigit()}
        except FileNotFoundError:
            return set()

    def is_settled(self, shard: int) -> bool:
        """Whether a shard is one of them."""
        return self.settled_folder(shard).is_dir()

    def settled_folder(self, shard: int) -> Path:
        """Where a settled shard lies."""
        return self.folder / SETTLED / f"{shard:05d}"

    def working_folder(self, shard: int) -> Path:
        """Where a shard is worked on: the folder of its run."""
        return self.folder / WORKING / f"{shard:05d}"

    def alone_folder(self, shard: int) -> Path:
        """Where its prompts are worked on one by one: a folder of runs, named after the prompts' numbers."""
        return self.folder / WORKING / f"{shard:05d}.alone"

    def working(self) -> list[int]:
        """The shards that a process works on now."""
        locks = (self.folder / LOCKS).glob(".*.lock") if (self.folder / LOCKS).is_dir() else ()
        return sorted(k for k in (int(path.name[1:-5]) for path in locks) if is_held(self._lock(k)))

    @contextlib.contextmanager
    def lease(self, shard: int) -> Iterator[bool]:
        """Take a shard within the block; False where another process has it, or it is settled.

        Raises:
            SeaError: the folder cannot be written.
        """
        if self.is_settled(shard):
            yield False
            return
        with contextlib.ExitStack() as stack:
            try:
                if not any(self._hold(stack, shard, wait) for wait in (0.0, GLANCE)):
                    yield False
                    return
            except OSError as error:
                raise run_files.cannot_write(self.folder, error) from error
            yield not self.is_settled(shard)  # it may have been settled before the lock was ours
            if self.is_settled(shard):
                with contextlib.suppress(OSError):
                    lock_file(self._lock(shard)).unlink()

    def settle(self, shard: int) -> None:
        """Put the folder of a shard in its place, whole; the answers of its prompts one by one if there are such.

        Raises:
            SeaError: the folder cannot be written.
        """
        alone = self.alone_folder(shard)
        made = alone if alone.is_dir() else self.working_folder(shard)
        try:
            self.settled_folder(shard).parent.mkdir(exist_ok=True)
            made.rename(self.settled_folder(shard))
            shutil.rmtree(self.working_folder(shard), ignore_errors=True)
        except OSError as error:
            raise run_files.cannot_write(self.settled_folder(shard), error) from error

    def require(self, identity: dict[str, Any]) -> None:
        """Refuse to answer with other models, versions or another kind of device than whoever answered first.

        Args:
            identity: of a run's manifest.

        Raises:
            OtherWorkerError: with what differs.
        """
        mine = {**identity, "reading": {k: v for k, v in identity["reading"].items() if k != "prompts"}}
        require_alike(self.folder, self.folder, mine)

    def failed(self) -> list[dict[str, Any]]:
        """The prompts that have no answer, in their order: index, prompt, attempts and error.

        Raises:
            SeaError: a file is damaged.
        """
        folder = self.folder / FAILED
        return [run_files.read_sealed(path) for path in sorted(folder.glob("*.json"))] if folder.is_dir() else []

    def write_failed(self, row: Row, attempts: int, error: str) -> None:
        """Note that a prompt has no answer.

        Raises:
            SeaError: the folder cannot be written.
        """
        data = {"index": row.index, "prompt": row.prompt.to_data(), "attempts": attempts, "error": error}
        run_files.write_sealed(self.folder / FAILED / f"{row.index:07d}.json", data)

    def is_failed(self, index: int) -> bool:
        """Whether a prompt has no answer."""
        return (self.folder / FAILED / f"{index:07d}.json").exists()

    def take_back(self, shard: int) -> None:
        """Let a shard with failed prompts be worked on again; those with answers keep them.

        Raises:
            SeaError: the folder cannot be written.
        """
        try:
            self.settled_folder(shard).rename(self.alone_folder(shard))
            for index in filter(self.is_failed, self.plan.prompts_of(shard)):
                shutil.rmtree(self.alone_folder(shard) / f"{index:07d}")
                (self.folder / FAILED / f"{index:07d}.json").unlink()
        except OSError as error:
            raise run_files.cannot_write(self.folder, error) from error

    def retry_failed(self) -> None:
        """Let all shards with failed prompts be worked on again.

        Raises:
            SeaError: the folder cannot be written, or a file is damaged.
        """
        for shard in self.settled() & {entry["index"] // self.plan.batch for entry in self.failed()}:
            self.take_back(shard)

    def _hold(self, stack: contextlib.ExitStack, shard: int, wait: float) -> bool:
        """Whether the lock of a shard is ours now."""
        time.sleep(wait)
        try:
            stack.enter_context(hold(self._lock(shard), f"shard {shard} of {self.folder}"))
        except SeaError:
            return False
        return True

    def _lock(self, shard: int) -> Path:
        return self.folder / LOCKS / f"{shard:05d}"
