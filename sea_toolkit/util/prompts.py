"""Prompts from a file: lines of text, or a column of a table."""

from __future__ import annotations

import gzip
import random
import zlib
from pathlib import Path

from sea_toolkit.errors import RecipeError
from sea_toolkit.util.tables import Source, column, read_rows

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")


def read_prompts(path: str | Path, name: str = "instruction") -> list[str]:
    """The prompts of a file in its order; of equal ones the first stays.

    Args:
        path: .csv, .tsv or .jsonl (also with .gz), or text with a prompt a line.
        name: the column of a table.

    Raises:
        RecipeError: no such file or column, no prompts, or a cell that holds no text.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise RecipeError(f"there is no file {path}", expected="prompts, one a line, or a .csv, .tsv or .jsonl file")
    if path.name.lower().removesuffix(".gz").endswith(TABLES):
        source = Source(path, {})
        rows = read_rows(source)
        found = column(source, rows, name)
        for i, cell in enumerate(found, 1):
            if not isinstance(cell, str) or not cell.strip():
                raise RecipeError(f"{path}: {name!r} of row {i} is {cell!r}", expected="a text")
    else:
        found = [line for line in _text(path).splitlines() if line.strip()]
    if not found:
        raise RecipeError(f"{path} has no prompts", expected="one a line")
    return list(dict.fromkeys(found))


def choose(
    prompts: list[str], *, skip: int = 0, limit: int | None = None, sample: int | None = None, seed: int = 0
) -> list[str]:
    """Some of the prompts: without the first `skip`, then the next `limit`, or `sample` of them drawn at random.

    Raises:
        RecipeError: both were asked for, or there are too few.
    """
    if limit is not None and sample is not None:
        raise RecipeError(f"--limit {limit} and --sample {sample}", expected="one of them")
    rest = prompts[skip:]
    if not rest:
        raise RecipeError(f"there are {len(prompts)} prompts, and --skip {skip} leaves none")
    if sample is None:
        return rest[:limit]
    if sample > len(rest):
        raise RecipeError(f"--sample {sample} of {len(rest)} prompts", expected=f"at most {len(rest)}")
    return random.Random(seed).sample(rest, sample)


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        return (gzip.decompress(content) if path.name.lower().endswith(".gz") else content).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read the prompts from {path}: {error}", expected="UTF-8 text") from error
