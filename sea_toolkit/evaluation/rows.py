"""The rows of an evaluation on disk, kept as soon as a batch is done."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from sea_toolkit.errors import SeaError
from sea_toolkit.runs.folder import held_folder, refuse_used
from sea_toolkit.util.files import append_whole, to_disk
from sea_toolkit.util.run_files import (
    FRONT,
    PLAN,
    ROWS,
    SEAL,
    cannot_write,
    damaged,
    digest_of,
    read_bytes,
    read_sealed,
    to_line,
    write_run_file,
    write_sealed,
)

Row = dict[str, Any]
Key = tuple[Any, ...]
"""What tells the runs of an evaluation apart; the rows of one run share it."""


@dataclass(frozen=True)
class Evaluation:
    """A kind of evaluation, as its folder knows it.

    Attributes:
        name: for messages.
        doing: what one says it is at, where progress is shown.
        plan: the file that says what was asked.
        keys: of a row, which together are the key of its run.
        growing: what may be added to a finished one.
    """

    name: str
    doing: str
    plan: str
    keys: tuple[str, ...]
    growing: str

    def key_of(self, row: Row) -> Key:
        """Of a row's run."""
        return tuple(row[name] for name in self.keys)


COMPARISON = Evaluation(
    "comparison", "comparing", PLAN, ("method", "budget", "seed", "batch"), "methods, budgets and seeds"
)
SWEEP = Evaluation("sweep", "sweeping", FRONT, ("method", "round", "batch"), "methods to compare with")


@runtime_checkable
class Keeps(Protocol):
    """Where the rows of runs go.

    Attributes:
        done: keys of the runs whose rows are there.
    """

    done: set[Key]

    def add(self, rows: Sequence[Row]) -> None:
        """Keep the rows of one run: all of them or, if the process dies here, none."""


@contextmanager
def evaluation_folder(folder: Path | None, kind: Evaluation) -> Iterator[None]:
    """Lock the folder of an evaluation, new or to be gone on with, as long as it is worked on.

    Raises:
        SeaError: it holds something else, is in use by another process, or cannot be written.
    """
    if folder is None:
        yield
        return
    if not (folder / kind.plan).exists():
        refuse_used(folder)
    with held_folder(folder):
        if not (folder / kind.plan).exists():
            refuse_used(folder)
        yield


class RowStore:
    """Rows in memory and, with a folder, on disk. The last row of each run has the hash of all rows up to it.

    Args:
        folder: of the evaluation, or None.
        plan: what decides the rows (`"fixed"`, which must be unchanged) and the methods by label (methods present in
            both plans must be identical; new ones may be added). Where its versions are None, the folder is opened by
            `now_with`.
        kind: of evaluation.

    Raises:
        SeaError: the folder holds another evaluation or something else, is damaged, or cannot be written.
    """

    def __init__(self, folder: Path | None, plan: dict[str, Any], kind: Evaluation) -> None:
        self.folder, self.kind, self.resumed = folder, kind, 0
        self.plan = plan
        self.rows: list[Row] = []
        self._chain = ""
        if folder is not None and not self.waits:
            self._open(folder, plan)
        self.done = {kind.key_of(row) for row in self.rows}

    @property
    def waits(self) -> bool:
        """Whether the versions are not known yet that its rows are tied to."""
        return self.plan["fixed"]["versions"] is None

    def now_with(self, versions: dict[str, Any]) -> None:
        """Open the folder of a new evaluation with the versions that a worker has found.

        Raises:
            SeaError: as the store itself.
        """
        self.plan["fixed"]["versions"] = versions
        if self.folder is not None:
            self._open(self.folder, self.plan)

    def add(self, rows: Sequence[Row]) -> None:
        """Keep the rows of one run: all of them or, if the process dies here, none."""
        if self.folder is not None:
            path, chain = self.folder / ROWS, digest_of([self._chain, *rows])
            text = b"".join(to_line(row) for row in [*rows[:-1], {**rows[-1], SEAL: chain}])
            try:
                append_whole(path, text)
                to_disk(path)
            except OSError as error:
                raise cannot_write(path, error) from error
            self._chain = chain
        self.rows += rows
        self.done |= {self.kind.key_of(row) for row in rows}

    def _open(self, folder: Path, plan: dict[str, Any]) -> None:
        self._chain = digest_of(plan["fixed"])
        if (folder / self.kind.plan).exists():
            before = read_sealed(folder / self.kind.plan)
            changed = _changes(before["fixed"], plan["fixed"])
            methods = before["methods"]
            changed += [f"method {m}" for m in plan["methods"] if m in methods and methods[m] != plan["methods"][m]]
            if changed:
                raise SeaError(
                    f"{folder} holds another {self.kind.name}; what differs: {', '.join(changed)}",
                    expected=f"the same prompts, recipe and settings ({self.kind.growing} may be added)",
                    hint="another --out, or the same command as before",
                )
            plan = {**plan, **before, "methods": {**methods, **plan["methods"]}}
            self._read(folder / ROWS)
        write_sealed(folder / self.kind.plan, plan)

    def _read(self, path: Path) -> None:
        """The rows so far. What a dying process left of its last run, or line, is cut off: it is done again."""
        if not path.exists():
            return
        content, kept, size = read_bytes(path), 0, 0
        run: list[Row] = []
        for number, line in enumerate(content.split(b"\n")[:-1], 1):
            size += len(line) + 1
            try:
                row = dict(json.loads(line))
                self.kind.key_of(row)
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise damaged(path, f"line {number} is no row", "remove the folder") from error
            seal = row.pop(SEAL, None)
            run.append(row)
            if seal is not None:
                self._chain = digest_of([self._chain, *run])
                if seal != self._chain:
                    what = f"the lines up to {number} are not as they were written, or one is gone"
                    raise damaged(path, what, "remove the folder")
                self.rows, kept, run = self.rows + run, size, []
        self.resumed = len(self.rows)
        if kept < len(content):
            write_run_file(path, content[:kept])


def _changes(then: dict[str, Any], now: dict[str, Any], path: str = "") -> list[str]:
    """Names of what differs."""
    names = []
    for key in sorted(then.keys() | now.keys()):
        a, b = then.get(key), now.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            names += _changes(a, b, f"{path}{key}.")
        elif a != b:
            names.append(f"{path}{key}")
    return names
