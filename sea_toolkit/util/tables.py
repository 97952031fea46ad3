"""Rows of csv, tsv, jsonl and parquet files as dictionaries; text may be gzipped."""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sea_toolkit.errors import RecipeError, did_you_mean
from sea_toolkit.util.arrow import pyarrow_for
from sea_toolkit.util.broken_lines import BrokenLines
from sea_toolkit.util.json_text import parse_json
from sea_toolkit.util.paths import user_path
from sea_toolkit.util.plain_data import plain_data
from sea_toolkit.util.text_files import lines_of, read_text

COLUMNS = ("text", "label", "chosen", "rejected", "group")
KEYS = (*COLUMNS, "positive", "negative", "threshold", "gap", "all", "rows", "header")


@dataclass(frozen=True)
class Source:
    """A data file and how to read it: column names (or numbers from 1) and what its labels mean."""

    path: Path
    settings: dict[str, str]

    def get(self, key: str, default: str | None = None) -> str | None:
        """The setting, or the default if neither the file nor the command gave one."""
        return self.settings.get(key, default)

    @classmethod
    def parse(cls, text: str, defaults: dict[str, str]) -> Source:
        """From `FILE` or `FILE::key=value,key=value`; the settings of a file win over those of the command.

        Raises:
            RecipeError: a setting is unknown, or the file does not exist.
        """
        name, _, extra = text.partition("::")
        settings = dict(defaults)
        for part in filter(None, extra.split(",")):
            key, equals, value = part.partition("=")
            if key not in KEYS or not equals:
                raise RecipeError(
                    f"{text}: {part!r} is not a setting", expected="key=value", hint=did_you_mean(key, KEYS)
                )
            settings[key] = value
        path = user_path(name, "the name of a data file")
        if not path.exists() or path.is_dir():
            raise RecipeError(f"there is no file {path}", hint="check the path")
        return cls(path, settings)


def read_rows(source: Source) -> list[dict[str, Any]]:
    """All rows of a file. Without a header the keys are "1", "2", …

    A table has a header unless every column that is asked for is a number (`header=yes` or `header=no`
    decides).

    Raises:
        RecipeError: the file is empty, cannot be read, or is of an unknown kind.
    """
    return [row for _, row in numbered_rows(source, BrokenLines())]


def numbered_rows(source: Source, broken: BrokenLines) -> list[tuple[str, dict[str, Any]]]:
    """As `read_rows`, each with the words for its place in the file.

    Args:
        source: the file.
        broken: what becomes of a row that cannot be read.

    Raises:
        RecipeError: as `read_rows`.
    """
    path = source.path
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if kind == "parquet":
        rows = _parquet(path)
        return [(f"{path}, row {i}", plain_data(row, f"{path}, row {i}")) for i, row in enumerate(rows, 1)]
    text = read_text(path)
    if not text.strip():
        raise RecipeError(f"{path} is empty", expected="one row per text or pair")
    if kind in ("jsonl", "ndjson"):
        return _json_lines(path, text, broken)
    if kind not in ("csv", "tsv"):
        raise RecipeError(
            f"{path} is of an unknown kind",
            expected="a name ending in .csv, .tsv, .jsonl or .parquet, or one of text with .gz",
        )
    return _table(source, text, "\t" if kind == "tsv" else ",", broken)


def column(source: Source, rows: list[dict[str, Any]], name: str) -> list[Any]:
    """One column.

    Raises:
        RecipeError: it is missing; the message lists the existing ones.
    """
    if name not in rows[0]:
        raise no_column(source.path, name, list(rows[0]))
    for i, row in enumerate(rows, 1):
        if name not in row:
            raise RecipeError(f"{source.path}: row {i} has no {name!r}", expected="the same columns in every row")
    return [row[name] for row in rows]


def no_column(path: Path, name: str, columns: list[str]) -> RecipeError:
    """The error for a column that a file lacks, with those that it has."""
    return RecipeError(
        f"{path} has no column {name!r}; it has {', '.join(map(repr, columns))}",
        hint=f"{did_you_mean(name, columns)} (columns of a file without header are numbered from 1)",
    )


def _json_lines(path: Path, text: str, broken: BrokenLines) -> list[tuple[str, dict[str, Any]]]:
    rows = []
    for number, line in enumerate(lines_of(text), 1):
        if line.strip():
            with broken.line():
                rows.append((f"{path}, line {number}", _json_row(line, f"{path}, line {number}")))
    return rows


def _json_row(line: str, where: str) -> dict[str, Any]:
    try:
        row = parse_json(line, each_key_once=True)
    except ValueError as error:
        raise RecipeError(f"{where} is not JSON: {error}", expected="one object per line") from error
    if not isinstance(row, dict):
        raise RecipeError(f"{where} is a {type(row).__name__}", expected="one object per line")
    plain: dict[str, Any] = plain_data(row, where)
    return plain


def _parquet(path: Path) -> list[dict[str, Any]]:
    """The rows of a parquet file.

    Raises:
        RecipeError: pyarrow is not installed, or the file is not parquet.
    """
    pyarrow = pyarrow_for(path)
    try:
        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise RecipeError(f"{path} cannot be read: {error}", expected="a parquet file") from error
    if not rows:
        raise RecipeError(f"{path} is empty", expected="one row per text or pair")
    return rows


def _table(source: Source, text: str, delimiter: str, broken: BrokenLines) -> list[tuple[str, dict[str, Any]]]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    # tab-separated files rarely quote, and a lone quotation mark in a sentence must not swallow the lines
    # after it
    rest = io.StringIO(text, newline="")
    if delimiter == "\t":
        reader = csv.reader(rest, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(rest, strict=True)  # a quotation mark that is not closed would swallow all lines behind it
    try:
        lines = [line for line in reader if any(cell.strip() for cell in line)]
    except csv.Error as error:
        raise RecipeError(f"{source.path}, line {reader.line_num} cannot be read: {error}") from error
    asked = [source.settings[k] for k in COLUMNS if source.settings.get(k)]
    header = source.get("header") or ("no" if asked and all(name.isdigit() for name in asked) else "yes")
    if header not in ("yes", "no"):
        raise RecipeError(f"{source.path}: header={header}", expected="header=yes or header=no")
    if header == "yes":
        names, lines = lines[0], lines[1:]
    else:
        names = [str(i + 1) for i in range(len(lines[0]))]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise RecipeError(f"{source.path} has two columns called {twice!r}", expected="a name for each column")
    if not lines:
        raise RecipeError(f"{source.path} has a header and no rows", expected="one row per text or pair")
    rows = []
    for i, line in enumerate(lines, 1):
        with broken.line():
            if len(line) != len(names):
                raise RecipeError(
                    f"{source.path}: row {i} has {len(line)} cells", expected=f"{len(names)}, as in the first row"
                )
            rows.append((f"{source.path}, row {i}", dict(zip(names, line, strict=True))))
    return rows
