"""The results of all shards as one table, in the order of the prompts, each exactly once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sea_toolkit.errors import SeaError
from sea_toolkit.runs.result import Result
from sea_toolkit.runs.stored import StoredRun
from sea_toolkit.shards.prompts_file import Row
from sea_toolkit.shards.store import Store
from sea_toolkit.util import run_files

MEASURED = ("seconds", "peak_memory_mb")
"""What a machine took: it stands in the runs, and not in what is the same on every machine."""
LEFT_OUT = ("candidates", "chains", "tokens")
"""What stays in the runs: hundreds of texts for a prompt."""


def results(store: Store) -> Iterator[tuple[Row, Result | None]]:
    """Each prompt with its result, None where it has none; every file is checked.

    Raises:
        SeaError: a shard is not settled; a file is damaged, or of other prompts.
    """
    settled = store.settled()
    if left := store.plan.shards - len(settled):
        raise SeaError(
            f"{left} of {store.plan.shards} shards of {store.folder} are not done",
            expected="a folder whose prompts are all answered",
            hint=f"sea-toolkit resume {store.folder}",
        )
    for shard in range(store.plan.shards):
        yield from _of_shard(store, shard)


def rows(store: Store) -> Iterator[dict[str, Any]]:
    """The same as plain data: `index`, the result without the texts that lost, and the user's `columns`.

    Raises:
        SeaError: as `results`.
    """
    for row, result in results(store):
        if result is not None:
            yield row_of(row, result)


def row_of(row: Row, result: Result) -> dict[str, Any]:
    """One line of the table."""
    data = result.to_data()
    ledger = {key: value for key, value in data.pop("ledger").items() if key not in MEASURED}
    kept = {key: value for key, value in data.items() if key not in LEFT_OUT}
    columns = {"columns": dict(row.prompt.columns)} if row.prompt.columns else {}
    return {"index": row.index, **kept, **columns, "ledger": ledger}


def _of_shard(store: Store, shard: int) -> Iterator[tuple[Row, Result | None]]:
    asked, folder = store.rows(shard), store.settled_folder(shard)
    if (folder / run_files.RECIPE).exists():
        yield from zip(asked, _read(store, folder, asked), strict=True)
        return
    for row in asked:
        if store.is_failed(row.index):
            yield row, None
        else:
            yield row, _read(store, folder / f"{row.index:07d}", [row])[0]


def _read(store: Store, folder: Path, asked: list[Row]) -> list[Result]:
    """The results of a run, which has to be that of these prompts."""
    stored = StoredRun.read(folder)
    saved = [(prompt.key, n) for prompt, n in zip(stored.saved.prompts, stored.saved.occurrences or [], strict=True)]
    if stored.status != "done" or saved != [(row.prompt.key, row.occurrence) for row in asked]:
        raise run_files.damaged(folder, "it is not the finished run of these prompts")
    return stored.results


def write_jsonl(store: Store, path: Path) -> int:
    """One line of JSON for each answer; the file is there whole or not at all.

    Returns:
        How many lines.

    Raises:
        SeaError: as `results`, or the file cannot be written.
    """
    count = 0
    with whole(path) as scratch, open(scratch, "wb") as file:
        for row in rows(store):
            file.write(run_files.to_line(row))
            count += 1
    return count


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name to write to, which becomes `path` if all went well."""
    scratch = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield scratch
        scratch.replace(path)
    except OSError as error:
        raise SeaError(f"cannot write {path}: {error.strerror or error}", hint="another --to, or free space") from error
    finally:
        scratch.unlink(missing_ok=True)
