"""What the workers of a comparison or a sweep are asked, in a folder beside the rows, and what they have done of it.

    .work/order.json             what is asked, and the pieces it is cut into
    .work/identity.json          weights, versions and device of whoever loaded its models first, which all must share
    .work/doing/NAME/rows.json   rows of a piece that is worked on, or was left by a process that died
    .work/done/NAME/rows.json    the same when it is settled, put there whole, by one rename
    .work/failed/NAME.json       a piece that could not be done, and why

A piece is worked on under a lock of the operating system, which a process that dies lets go of. Its name follows from
what it asks, so that another order finds what an earlier one has left.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sea_toolkit.errors import SeaError
from sea_toolkit.evaluation.rows import Key, Row
from sea_toolkit.util import run_files
from sea_toolkit.util.locks import hold
from sea_toolkit.work.alike import IDENTITY, require_alike
from sea_toolkit.work.attempts import FILE as ATTEMPTS_FILE

FOLDER = ".work"
"""Hidden: what is done stands in the rows, and it goes when all is done."""
ORDER, KEPT = "order.json", "rows.json"
DOING, DONE, FAILED, LOCKS = "doing", "done", "failed", "locks"


@dataclass(frozen=True)
class Order:
    """What workers are asked.

    Attributes:
        kind: of evaluation, see `Evaluation.name`.
        threads: of torch on the CPU, for every worker.
        software: versions of packages and plugins, which every worker must share.
        versions: of the rows that are there already; None where the first worker decides.
        asked: what all pieces share: recipe, prompts and settings.
        pieces: what each asks, with `"what"`, its name in words.
    """

    kind: str
    threads: int
    software: dict[str, Any]
    versions: dict[str, Any] | None
    asked: dict[str, Any]
    pieces: list[dict[str, Any]]

    @classmethod
    def read(cls, folder: Path) -> Order:
        """Read it.

        Raises:
            SeaError: it is missing or damaged.
        """
        return cls(**run_files.read_sealed(folder / ORDER))

    def goes_on_with(self, other: Order) -> bool:
        """Whether what was done of another order is of use: all but the pieces is the same."""
        mine, others = ([o.kind, o.threads, o.software, o.asked] for o in (self, other))
        return run_files.digest_of(mine) == run_files.digest_of(others)  # one of them may have been a file

    def write(self, folder: Path) -> None:
        """Raises: SeaError if the folder cannot be written."""
        folder.mkdir(parents=True, exist_ok=True)
        run_files.write_sealed(folder / ORDER, asdict(self))


class Kept:
    """The rows of a piece, as its runs are done; it stands in for a `RowStore` in a worker.

    Args:
        path: of the file.
        keys: of a row, which together are the key of its run.
        done: runs that need not be made.
    """

    def __init__(self, path: Path, keys: Sequence[str], done: Sequence[Key]) -> None:
        self.path, self.keys = path, keys
        self.runs: list[list[Row]] = read_runs(path)
        self.done: set[Key] = set(done) | {self._key(row) for run in self.runs for row in run}

    def add(self, rows: Sequence[Row]) -> None:
        """Keep the rows of one run.

        Raises:
            SeaError: the folder cannot be written.
        """
        self.runs.append(list(rows))
        run_files.write_sealed(self.path, {"runs": self.runs})
        self.done |= {self._key(row) for row in rows}

    def _key(self, row: Row) -> Key:
        return tuple(row[name] for name in self.keys)


def read_runs(path: Path) -> list[list[Row]]:
    """The rows in a file of a piece, those of each run for themselves; none where there is no file.

    Raises:
        SeaError: it is damaged.
    """
    return run_files.read_sealed(path)["runs"] if path.exists() else []


class Pieces:
    """The pieces of an order.

    Args:
        folder: of the work.

    Raises:
        SeaError: it has no order.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.order = folder, Order.read(folder)
        self.names = [run_files.digest_of(piece)[:16] for piece in self.order.pieces]

    def doing(self, piece: int) -> Path:
        """Where a piece is worked on."""
        return self.folder / DOING / self.names[piece]

    def is_done(self, piece: int) -> bool:
        """Whether its rows are there."""
        return (self.folder / DONE / self.names[piece]).is_dir()

    def is_settled(self, piece: int) -> bool:
        """Whether nobody needs to work on it any more: it is done, or cannot be done."""
        return self.is_done(piece) or (self.folder / FAILED / f"{self.names[piece]}.json").exists()

    def left(self) -> list[int]:
        """Those that are not settled, in their order."""
        return [piece for piece in range(len(self.names)) if not self.is_settled(piece)]

    def runs(self, piece: int) -> list[list[Row]]:
        """The rows of a piece that is done, those of each run for themselves.

        Raises:
            SeaError: they are damaged.
        """
        return read_runs(self.folder / DONE / self.names[piece] / KEPT)

    @contextlib.contextmanager
    def lease(self, piece: int) -> Iterator[bool]:
        """Take a piece within the block; False where another process has it, or it is settled.

        Raises:
            SeaError: the folder cannot be written.
        """
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(hold(self.folder / LOCKS / self.names[piece], self.order.pieces[piece]["what"]))
            except SeaError:
                yield False
                return
            except OSError as error:
                raise run_files.cannot_write(self.folder, error) from error
            yield not self.is_settled(piece)

    def settle(self, piece: int) -> None:
        """Put the rows of a piece in their place, whole.

        Raises:
            SeaError: the folder cannot be written.
        """
        place = self.folder / DONE / self.names[piece]
        try:
            place.parent.mkdir(exist_ok=True)
            self.doing(piece).rename(place)
        except OSError as error:
            raise run_files.cannot_write(place, error) from error

    def fail(self, piece: int, error: str) -> None:
        """Note that a piece cannot be done.

        Raises:
            SeaError: the folder cannot be written.
        """
        what = {"what": self.order.pieces[piece]["what"], "error": error}
        run_files.write_sealed(self.folder / FAILED / f"{self.names[piece]}.json", what)

    def failed(self) -> list[dict[str, Any]]:
        """Those that cannot be done: what, and error.

        Raises:
            SeaError: a file is damaged.
        """
        files = (self.folder / FAILED / f"{name}.json" for name in self.names)
        return [run_files.read_sealed(path) for path in files if path.exists()]

    def require(self, versions: dict[str, Any]) -> None:
        """Refuse rows of other weights, versions or another kind of device than those of the first worker.

        Raises:
            OtherWorkerError: with what differs.
        """
        require_alike(self.folder, self.folder.parent, versions, self.order.versions)

    def versions(self) -> dict[str, Any]:
        """Those that the first worker has found.

        Raises:
            SeaError: no worker has loaded its models.
        """
        return run_files.read_sealed(self.folder / IDENTITY)


def begin(folder: Path, order: Order) -> Pieces:
    """The pieces of an order. What workers have left of an earlier one is kept where it asked the same of them.

    Raises:
        SeaError: the folder cannot be written, or its files are damaged.
    """
    try:
        if (folder / ORDER).exists() and not order.goes_on_with(Order.read(folder)):
            shutil.rmtree(folder)
        shutil.rmtree(folder / FAILED, ignore_errors=True)
        for attempts in folder.glob(f"{DOING}/*/{ATTEMPTS_FILE}"):
            attempts.unlink()
        if not (folder / DONE).exists() and not (folder / DOING).exists():
            (folder / IDENTITY).unlink(missing_ok=True)
        order.write(folder)
    except OSError as error:
        raise run_files.cannot_write(folder, error) from error
    return Pieces(folder)
