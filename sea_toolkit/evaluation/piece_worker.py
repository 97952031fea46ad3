"""The pieces of a comparison or a sweep as an engine is given them, and the worker that does them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from sea_toolkit.core.torch_state import own_torch_state
from sea_toolkit.errors import SeaError
from sea_toolkit.evaluation.order import KEPT, Kept, Pieces
from sea_toolkit.work.alike import become_alike
from sea_toolkit.work.attempts import Attempts
from sea_toolkit.work.job import Job
from sea_toolkit.work.worker import FINAL, Worker

HOPELESS = 3
"""Pieces that cannot be done, after which the rest is left: as a whole it cannot be finished anyway."""


@runtime_checkable
class Doer(Protocol):
    """What does the pieces of one kind of evaluation."""

    @property
    def software(self) -> dict[str, Any]:
        """Versions of the packages and plugins that take part."""

    def load(self) -> dict[str, Any]:
        """Read the models; the versions that rows are tied to, see `plans.versions`."""

    def kept(self, path: Path, piece: dict[str, Any]) -> Kept:
        """The rows of a piece so far, in a file."""

    def do(self, piece: dict[str, Any], kept: Kept) -> None:
        """Add to the rows of a piece what they lack."""


@dataclass(frozen=True)
class PieceJob(Job):
    """The pieces that are left; the folder has their order."""

    @cached_property
    def _pieces(self) -> Pieces:
        return Pieces(self.folder)

    def left(self) -> list[int]:
        """The pieces that are not settled, in their order."""
        return self._pieces.left()

    @property
    def threads(self) -> int:
        """The order's."""
        return self._pieces.order.threads

    def worker(self) -> PieceWorker:
        """A worker in this process.

        Raises:
            SeaError: this process has other versions or plugins than the order.
        """
        from sea_toolkit.evaluation.doers import doer_of

        pieces = Pieces(self.folder)
        return PieceWorker(pieces, doer_of(pieces.order, self.hub(), self.allowed, self.trust_remote_code))


class PieceWorker(Worker):
    """Does the pieces of a folder.

    Args:
        pieces: of the folder.
        doer: of their kind.

    Raises:
        OtherWorkerError: the order was made with other versions or plugins.
    """

    def __init__(self, pieces: Pieces, doer: Doer) -> None:
        self.pieces, self.doer = pieces, doer
        become_alike(
            pieces.order.threads, pieces.order.software, doer.software,
            work=f"do the work in {pieces.folder}", made="the work was cut",
        )  # fmt: skip

    def load(self) -> None:
        """Read the models.

        Raises:
            OtherWorkerError: they are others than those that rows were made with.
            SeaError: one cannot be read, or a prompt is too long.
        """
        with own_torch_state():
            self.pieces.require(self.doer.load())

    def is_settled(self, piece: int) -> bool:
        """Whether nobody needs to work on a piece any more."""
        return self.pieces.is_settled(piece)

    def run(self, piece: int) -> bool:
        """Do a piece, from the rows that a worker that died has left of it.

        Returns:
            Whether it was done here, or found to be impossible; False if another process has it, or it was settled.

        Raises:
            SeaError: the folder cannot be written, or several pieces cannot be done.
        """
        with self.pieces.lease(piece) as free, own_torch_state():
            if not free:
                return False
            why = self._do(piece)
            if why is None:
                self.pieces.settle(piece)
            else:
                self.pieces.fail(piece, why)
        if len(failed := self.pieces.failed()) >= HOPELESS:
            raise cannot_be_done(failed)
        return True

    def _do(self, piece: int) -> str | None:
        """Try a piece; why it cannot be done, if it cannot."""
        folder, asked = self.pieces.doing(piece), self.pieces.order.pieces[piece]
        while not (attempts := Attempts.read(folder)).are_over:
            attempts.begin(folder, KEPT)
            try:
                self.doer.do(asked, self.doer.kept(folder / KEPT, asked))
                return None
            except KeyboardInterrupt:
                attempts.survived(folder)
                raise
            except SeaError as error:
                attempts.survived(folder, str(error))
                if isinstance(error, FINAL):
                    break
        return Attempts.read(folder).why


def cannot_be_done(failed: list[dict[str, Any]]) -> SeaError:
    """The error that names pieces."""
    named = "\n  ".join(f"{entry['what']}: {entry['error'].splitlines()[0]}" for entry in failed)
    return SeaError(
        f"{len(failed)} of the runs cannot be done:\n  {named}",
        expected="runs that end",
        hint="the same command, when that is mended: it keeps what is done, and tries these again",
    )
