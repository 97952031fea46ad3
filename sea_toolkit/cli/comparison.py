"""A comparison as people read it in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len

from sea_toolkit.cli.console import Console, fold, styled
from sea_toolkit.reporting.tables import caption, main_table
from sea_toolkit.util.printable import printable

if TYPE_CHECKING:
    from sea_toolkit.evaluation.report import Report

_OPTIONAL = ("accepted", "MB", "s per prompt", "distinct-2 within", "distinct-2", "tokens", "samples", "unfinished")
"""Columns that may be left out where a terminal is too narrow, the dearest last."""


def print_comparison(report: Report, out: Path | None, wide: bool) -> None:
    """The caption, the table, what differs, and notes.

    Args:
        report: of the comparison.
        out: the folder it was written to.
        wide: keep all columns of the table on a narrow terminal too.
    """
    console, data = Console(), report.data()
    for line in caption(data):
        console.prose(line, "dim")
    print_table(console, *main_table(data), wide=wide, optional=_OPTIONAL)
    for pair, statement in zip([p for p in data["pairs"] if p["stated"]], data["statements"], strict=True):
        console.prose(statement, statement_color(pair["verdict"]))
    for note in data["notes"]:
        console.prose(f"note: {note}", "yellow")
    if out is not None:
        console.prose(f"written to {out}", "dim")


def statement_color(verdict: str) -> str:
    """Of a statement with this verdict."""
    return {"higher": "green", "lower": "red"}.get(verdict, "")


def print_table(
    console: Console, titles: Sequence[str], rows: Sequence[Sequence[str]], *, wide: bool, optional: Sequence[str]
) -> None:
    """Each row in one line where there is room, else its intervals below its means; labels are never cut.

    Args:
        console: where.
        titles: of the columns.
        rows: of cells.
        wide: keep all columns on a narrow terminal too.
        optional: titles of columns that may be left out there, the dearest last.
    """
    cells = [[printable(cell, one_line=True) for cell in row] for row in [titles, *rows]]
    columns = [list(column) for column in zip(*cells, strict=True)]
    dropped: list[str] = []
    blocks = [[[cell] for cell in column] for column in columns]
    if console.is_terminal and not wide and _width(blocks) > console.width:
        blocks = [[_narrow(cell, title=i == 0) for i, cell in enumerate(column)] for column in columns]
        for title in optional:
            if _width(blocks) <= console.width:
                break
            if title in titles:
                dropped.append(title)
                blocks = [column for column in blocks if " ".join(column[0]) != title]
    for i, row in enumerate(zip(*blocks, strict=True)):
        for line in _lines(row, [_column_width(column) for column in blocks]):
            console.print(styled(line, "" if i else "bold"), soft_wrap=True)
    if dropped:
        console.print(styled(f"no room for: {', '.join(dropped)}; --wide shows all", "dim"), soft_wrap=True)


def _narrow(cell: str, title: bool) -> list[str]:
    """A title word by word, a mean with its interval below it."""
    return fold(cell, 1) if title else cell.replace(" [", "\n[").split("\n")


def _column_width(column: Sequence[Sequence[str]]) -> int:
    return max(cell_len(line) for cell in column for line in cell)


def _width(blocks: Sequence[Sequence[Sequence[str]]]) -> int:
    return sum(_column_width(column) + 2 for column in blocks) - 2


def _lines(row: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    """The lines of a row: labels to the left, numbers to the right."""
    lines = []
    for n in range(max(map(len, row))):
        parts = [cell[n] if n < len(cell) else "" for cell in row]
        padded = [" " * (width - cell_len(part)) for part, width in zip(parts, widths, strict=True)]
        first, *others = zip(parts, padded, strict=True)
        lines.append("  ".join([first[0] + first[1], *(space + part for part, space in others)]).rstrip())
    return lines
