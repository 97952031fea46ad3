"""The merged table as a parquet file, written in groups of rows: a million answers need no memory of their own."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sea_toolkit.errors import SeaError
from sea_toolkit.shards.merge import rows, whole
from sea_toolkit.shards.store import Store
from sea_toolkit.util.arrow import pyarrow_for

GROUP = 1000
"""Rows in memory at a time."""


def write_parquet(store: Store, path: Path) -> int:
    """The rows of `merge.rows`; tables in them become structs. The folder is read twice: once for the types.

    Returns:
        How many rows.

    Raises:
        RecipeError: pyarrow is not installed.
        SeaError: as `merge.results`; the file cannot be written, or a column has several types.
    """
    arrow = pyarrow_for(path)
    count = 0
    try:
        schema = arrow.unify_schemas(
            [arrow.Table.from_pylist(group).schema for group in _groups(rows(store))] or [arrow.schema([])],
            promote_options="permissive",
        )
        with whole(path) as scratch, arrow.parquet.ParquetWriter(scratch, schema) as writer:
            for group in _groups(rows(store)):
                writer.write_table(arrow.Table.from_pylist(group, schema=schema))
                count += len(group)
    except arrow.ArrowException as error:
        raise SeaError(
            f"cannot write {path}: {error}",
            expected="one type in each column of the prompts",
            hint="--to results.jsonl takes them as they are",
        ) from error
    return count


def _groups(lines: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    lines = iter(lines)
    while group := [_without_empty(line) for line in itertools.islice(lines, GROUP)]:
        yield group


def _without_empty(value: Any) -> Any:
    """Without tables that have no entries, which parquet cannot write."""
    if isinstance(value, dict):
        return {key: inner for key, entry in value.items() if (inner := _without_empty(entry)) != {}}
    return [_without_empty(entry) for entry in value] if isinstance(value, list) else value
