"""Prompts from a file: lines of text, a column of a table, or conversations in JSON."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, TypeVar

from sea_toolkit.errors import RecipeError
from sea_toolkit.util.broken_lines import BrokenLines
from sea_toolkit.util.conversation import Prompt, as_prompts
from sea_toolkit.util.json_text import parse_json
from sea_toolkit.util.paths import user_path
from sea_toolkit.util.tables import Source, no_column, numbered_rows
from sea_toolkit.util.text_files import lines_of, read_text

Text = TypeVar("Text", bound=str)
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
COLUMNS = ("instruction", "prompt", "messages")
"""Where prompts are looked for in a table, in this order, if no column is named."""


def read_prompts(path: str | Path, name: str | None = None, broken: BrokenLines | None = None) -> list[Prompt]:
    """The prompts of a file, in its order.

    Args:
        path: .csv, .tsv, .jsonl or .parquet, .json with a list of prompts, or text with a prompt a line; those of text
            also with .gz. A cell of a .jsonl or .parquet file and an entry of a .json file may be a conversation,
            `[{"role": …, "content": …}, …]`. The other columns of a table go with the prompts.
        name: the column of a table, or its number from 1 where there is no header; one of `COLUMNS` if None.
        broken: what becomes of a row of a table that cannot be read or holds no prompt; by default it is an error.

    Raises:
        RecipeError: no such file or column, no prompts, or an entry that is not a prompt.
    """
    path = user_path(path, "the file of prompts")
    if not path.exists() or path.is_dir():
        raise RecipeError(
            f"{path} is a folder" if path.is_dir() else f"there is no file {path}",
            expected="prompts, one a line, or a .csv, .tsv, .jsonl or .parquet file",
        )
    kind = path.name.lower().removesuffix(".gz")
    if is_table(path.name):
        return _of_table(path, name, broken or BrokenLines())
    if name is not None:
        raise RecipeError(
            f"{path} is no table and has no column {name!r}", expected="a .csv, .tsv, .jsonl or .parquet file"
        )
    if kind.endswith(".json"):
        return read_messages(read_text(path), str(path))
    return prompts_of_lines(read_text(path), str(path))


def is_table(name: str) -> bool:
    """Whether a file of this name is a table."""
    return name.lower().removesuffix(".gz").endswith(TABLES)


def prompts_of_lines(text: str, where: str) -> list[Prompt]:
    """A prompt a line; empty lines are left out. There are no comments: a line with # is a prompt.

    Raises:
        RecipeError: there are none, or the lines are JSON objects.
    """
    lines = [line for line in lines_of(text) if line.strip()]
    if not lines:
        raise RecipeError(f"{where} has no prompts", expected="one a line")
    first = _json(lines[0])
    if isinstance(first, dict) or (isinstance(first, list) and any(isinstance(entry, dict) for entry in first)):
        raise RecipeError(
            f"{where} holds JSON, an object a line", expected="plain text", hint="a file whose name ends in .jsonl"
        )
    return [Prompt.of(line) for line in lines]


def read_messages(text: str, where: str) -> list[Prompt]:
    """One conversation or several, from JSON.

    Raises:
        RecipeError: not JSON, or no conversations.
    """
    try:
        data = parse_json(text, each_key_once=True)
    except ValueError as error:
        raise RecipeError(
            f"{where} is not JSON: {error}", expected='[{"role": "user", "content": "…"}], or a list of these'
        ) from error
    if not isinstance(data, list):
        raise RecipeError(f"{where} holds a {type(data).__name__}", expected="a list of messages or of conversations")
    return as_prompts(data)


def different(prompts: list[Prompt]) -> list[Prompt]:
    """Without repetitions; of equal prompts the first stays."""
    return list(dict.fromkeys(prompts))


def choose(
    prompts: list[Text], *, skip: int = 0, limit: int | None = None, sample: int | None = None, seed: int = 0
) -> list[Text]:
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


def _of_table(path: Path, name: str | None, broken: BrokenLines) -> list[Prompt]:
    settings = {"text": name} if name is not None and name.isdigit() else {}  # a column's number: there is no header
    rows = numbered_rows(Source(path, settings), broken)
    if not rows:
        raise RecipeError(f"{path} has no prompts", expected="a row for each")
    columns = list(dict.fromkeys(key for _, row in rows for key in row))
    if name is None:
        name = next((known for known in COLUMNS if known in columns), None)
    if name is None:
        raise RecipeError(
            f"{path} has the columns {', '.join(map(repr, columns))}",
            expected=f"prompts in one named {' or '.join(COLUMNS)}",
            hint="--column NAME, or --column 1 for the first one of a file without a header",
        )
    if name not in columns:
        raise no_column(path, name, columns)
    prompts = []
    for where, row in rows:
        with broken.line():
            if name not in row:
                raise RecipeError(f"{where} has no {name!r}", expected="the same columns in every row")
            others = {key: value for key, value in row.items() if key != name}
            prompts.append(Prompt.of(row[name], f"{name!r} of {where}").with_columns(others))
    if not prompts:
        raise RecipeError(f"{path} has no prompts: every row is broken", expected="a prompt in each")
    return prompts


def _json(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        return None
