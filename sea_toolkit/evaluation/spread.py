"""An evaluation whose pieces are done by the workers of an engine; its rows come in the order of one process."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sea_toolkit.errors import RecipeError, SeaError
from sea_toolkit.evaluation.cells import ProgressMeter
from sea_toolkit.evaluation.order import FOLDER, ORDER, Order, Pieces, begin
from sea_toolkit.evaluation.piece_worker import PieceJob, cannot_be_done
from sea_toolkit.evaluation.rows import RowStore
from sea_toolkit.evaluation.setup import EvaluationSetup
from sea_toolkit.util.run_files import read_sealed
from sea_toolkit.util.wording import counted
from sea_toolkit.work.engine import Engine


@dataclass(frozen=True)
class Piece:
    """One piece of an evaluation.

    Attributes:
        what: its name in words.
        asks: what a worker is to do, as plain data.
        samples: about how many it takes, over all of its prompts.
        batch: number of its batch of prompts.
    """

    what: str
    asks: dict[str, Any]
    samples: float
    batch: int


def engine_for(
    setup: EvaluationSetup, engine: str | Mapping[str, Any] | None, workers: int | None, gpus_per_worker: float | None
) -> Engine | None:
    """The engine that is asked for; None where this process does all.

    Raises:
        RecipeError: no such number of workers, an engine without a folder, or with objects that cannot travel.
    """
    crew = Engine.of(engine, workers, gpus_per_worker)
    if crew is None:
        return None
    if setup.folder is None:
        raise RecipeError("an engine without out", expected="it with out=DIR: workers share a folder")
    if setup.call.own or setup.session.own_policy is not None:
        names = ", ".join(map(repr, setup.call.own)) or "the policy"
        raise RecipeError(
            f"an engine, and objects of this process: {names}",
            expected="names and files: workers are other processes",
            hint="energies in a plugin (--plugin FILE), or as functions that allow_code names; a policy by its name",
        )
    return crew


class Spread:
    """Has pieces done by workers.

    Args:
        engine: who starts them.
        setup: of the evaluation, with a folder.
        store: of its rows; it may wait for the versions that the first worker finds.
        asked: what all pieces share.
        software: versions that every worker has to have.
        trust_remote_code: whether Python that comes with a model may run.
        meter: of the progress.
    """

    def __init__(
        self,
        engine: Engine,
        setup: EvaluationSetup,
        store: RowStore,
        asked: dict[str, Any],
        software: dict[str, Any],
        trust_remote_code: bool,
        meter: ProgressMeter,
    ) -> None:
        assert setup.folder is not None
        self.engine, self.setup, self.store, self.meter = engine, setup, store, meter
        self.asked, self.software, self.trust_remote_code = asked, software, trust_remote_code
        self.folder = setup.folder / FOLDER

    def do(self, pieces: Sequence[Piece], after: Callable[[Piece], None]) -> None:
        """Have pieces done, and keep their rows.

        Args:
            pieces: in the order of their rows.
            after: called with each, as soon as its rows and those of all before it are kept.

        Raises:
            SeaError: a piece cannot be done, which is named; or as the engine.
        """
        if not pieces:
            return
        asks = [{"what": piece.what, **piece.asks} for piece in pieces]
        known = None if self.store.waits else self.store.plan["fixed"]["versions"]
        threads = self.store.plan["threads"]
        there = begin(self.folder, Order(self.store.kind.name, threads, self.software, known, self.asked, asks))
        taken = _Taken(self.store, there, pieces, after)
        taken.take()

        def settled(number: int) -> None:
            self.meter.done += pieces[number].samples
            self.meter.enter(pieces[number].what)
            taken.take()

        call = self.setup.call
        if there.left():
            self.engine.run(
                PieceJob, self.folder, self.setup.session.hub, call.allowed, self.trust_remote_code, settled
            )
        taken.take()
        if failed := there.failed():
            raise cannot_be_done(failed)
        if left := there.left():
            raise SeaError(
                f"{counted(len(left), 'run')} of {self.folder.parent} are not done: other processes have them",
                hint="the same command again",
            )


class _Taken:
    """The pieces whose rows are kept: always the first ones, so that rows come in the order of one process."""

    def __init__(self, store: RowStore, there: Pieces, pieces: Sequence[Piece], after: Callable[[Piece], None]) -> None:
        self.store, self.there, self.pieces, self.after, self.count = store, there, pieces, after, 0

    def take(self) -> None:
        """Take what is done now."""
        while self.count < len(self.pieces) and self.there.is_done(self.count):
            if self.store.waits:
                self.store.now_with(self.there.versions())
            for rows in self.there.runs(self.count):
                self.store.add(rows)
            self.count += 1
            self.after(self.pieces[self.count - 1])


def remove_work(setup: EvaluationSetup) -> None:
    """All is done: what workers have left goes, whoever has done the rest."""
    if setup.folder is not None:
        shutil.rmtree(setup.folder / FOLDER, ignore_errors=True)


def threads_of(setup: EvaluationSetup, engine: Engine | None) -> int:
    """Of torch on the CPU: those that the folder was begun with, or what this process or the engine would take."""
    if setup.folder is not None:
        for path in (setup.folder / setup.kind.plan, setup.folder / FOLDER / ORDER):
            if path.exists() and (known := read_sealed(path).get("threads")):
                return int(known)
    return (engine and engine.threads) or torch.get_num_threads()
