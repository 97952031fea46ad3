"""A worker answers shards, one after the other; its models stay loaded."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from sea_toolkit.errors import RecipeError, SeaError
from sea_toolkit.events import Event
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.folder import SavedRun, held_folder
from sea_toolkit.runs.manifest import versions
from sea_toolkit.runs.resuming import resumed
from sea_toolkit.runs.session import Session
from sea_toolkit.runs.stored import StoredRun, finished
from sea_toolkit.shards.prompts_file import Row
from sea_toolkit.shards.store import Store
from sea_toolkit.util import run_files
from sea_toolkit.work.alike import OtherWorkerError, become_alike
from sea_toolkit.work.attempts import Attempts
from sea_toolkit.work.worker import FINAL, Worker

HOPELESS = 3
"""Shards in a row without an answer, after which the prompts are not what is wrong."""


class ShardWorker(Worker):
    """Works on the shards of a folder.

    Args:
        store: the folder.
        session: plugins and models.
        compose: makes the composition of the plan's recipe.
        on_event: is told of each run.

    Raises:
        OtherWorkerError: the plan was made with other versions or plugins.
    """

    def __init__(
        self,
        store: Store,
        session: Session,
        compose: Callable[[], Composition],
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        self.store, self.session, self.compose, self.on_event = store, session, compose, on_event
        self._in_vain: list[int] = []
        become_alike(
            store.plan.threads, store.plan.versions, versions(compose()),
            work=f"carry out the plan of {store.folder}", made="the plan was made",
        )  # fmt: skip

    def load(self) -> None:
        """Read the models, with the first prompt.

        Raises:
            ModelError: a model cannot be found or read.
            SeaError: as `Session.bind`, for a reason other than the prompt.
        """
        with contextlib.suppress(RecipeError):  # of the prompt, which is looked at again in its shard
            self.session.bind(self.compose(), [self.store.rows(0)[0].prompt])

    def is_settled(self, piece: int) -> bool:
        """Whether nobody needs to work on a shard any more."""
        return self.store.is_settled(piece)

    def run(self, piece: int) -> bool:
        """Answer a shard: from its checkpoint if it has one, and prompt by prompt if it cannot be answered as a whole.

        Returns:
            Whether it was done here; False if another process has it, or it was settled before.

        Raises:
            OtherWorkerError: this process differs from those that answered before.
            SeaError: the folder cannot be written, or no prompt of several shards had an answer.
        """
        store, shard = self.store, piece
        with store.lease(shard) as free:
            if not free:
                return False
            rows, alone = store.rows(shard), store.alone_folder(shard)
            if alone.is_dir() or not self._answer(store.working_folder(shard), rows):
                for row in (row for row in rows if not store.is_failed(row.index)):
                    self._answer_alone(alone / f"{row.index:07d}", row)
            store.settle(shard)
        self._stop_if_in_vain(shard, rows)
        return True

    def _answer_alone(self, folder: Path, row: Row) -> None:
        if not self._answer(folder, [row]):
            attempts = Attempts.read(folder)
            self.store.write_failed(row, attempts.count, attempts.why)

    def _answer(self, folder: Path, rows: Sequence[Row]) -> bool:
        """Whether these prompts could be answered together, in a run in this folder."""
        while not (attempts := Attempts.read(folder)).are_over:
            attempts.begin(folder)
            try:
                self._run(folder, rows)
                return True
            except OtherWorkerError:
                attempts.survived(folder)
                raise
            except KeyboardInterrupt:
                attempts.survived(folder)
                raise
            except SeaError as error:
                attempts.survived(folder, str(error))
                if isinstance(error, FINAL):
                    return False
        return False

    def _run(self, folder: Path, rows: Sequence[Row]) -> None:
        """Begin the run of a folder, or go on with it, to its end."""
        if finished(folder) is not None:
            return
        with held_folder(folder):
            composition = self.compose()
            if (folder / run_files.RECIPE).exists():
                stored = StoredRun.read(folder)
                if stored.manifest is not None:
                    self.store.require(stored.manifest["identity"])
                resumed(self.session, composition, stored, folder, on_event=self.on_event)
                return
            plan, occurrences = self.store.plan, [row.occurrence for row in rows]
            run = self.session.run(
                composition,
                [row.prompt for row in rows],
                folder=folder,
                checkpoint_every=plan.checkpoint_every,
                on_event=self.on_event,
                occurrences=occurrences,
                explains=plan.explains,
            )
            self.store.require(run.manifest["identity"])
            asked = composition.prompts([row.prompt for row in rows])
            SavedRun(plan.recipe, asked, {}, plan.checkpoint_every, plan.explains, occurrences).write(folder)
            run.execute()

    def _stop_if_in_vain(self, shard: int, rows: Sequence[Row]) -> None:
        """A server that is down or a broken model fails every prompt: nothing is to be said of the prompts then.

        Raises:
            SeaError: several shards in a row had no answer; they can be tried again.
        """
        failed = all(self.store.is_failed(row.index) for row in rows)
        self._in_vain = [*self._in_vain, shard] if failed else []
        if len(self._in_vain) < HOPELESS:
            return
        last = next(f for f in reversed(self.store.failed()) if f["index"] in self.store.plan.prompts_of(shard))
        for taken in self._in_vain:
            self.store.take_back(taken)
        raise SeaError(
            f"{HOPELESS} shards in a row had no answer to any prompt; the last one: {last['error']}",
            expected="prompts that can be answered",
            hint=f"sea-toolkit resume {self.store.folder} when that is mended",
        )
