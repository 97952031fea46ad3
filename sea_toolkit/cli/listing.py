"""A table of names for people: no name is ever cut or broken, at any width, and a pipe gets each row in one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len

from sea_toolkit.cli.console import Console, fold, styled
from sea_toolkit.util.printable import printable

_ROOM = 24
"""Columns that the prose of a row has at least; where names leave less, it goes below them."""


def print_listing(
    console: Console,
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    styles: Sequence[str] = (),
    *,
    optional: Sequence[str] = (),
    wide: bool = False,
) -> None:
    """Print rows of names whose last column is prose. Where a terminal is too narrow, the prose folds.

    Args:
        console: where to.
        titles: of the columns.
        rows: a cell for each title.
        styles: one for each row, if any.
        optional: titles of columns that may be left out where a terminal is too narrow, the dearest last.
        wide: print each row in one line with all its columns on a terminal too.
    """
    cells = [[printable(cell, one_line=True) for cell in row] for row in rows]
    kept = list(range(len(titles)))
    whole = wide or not console.is_terminal
    for title in optional:
        if whole or console.width - _used(cells, kept, titles) >= _ROOM:
            break
        kept.remove(titles.index(title))
    titles, cells = [titles[i] for i in kept], [[row[i] for i in kept] for row in cells]
    widths = _widths(titles, cells, None if whole else console.width - _ROOM)
    for row, style in zip([titles, *cells], ["bold", *(styles or [""] * len(cells))], strict=True):
        for line in _lines(console, row, widths, whole):
            console.print(styled(line, style), soft_wrap=True)
    dropped = [title for title in optional if title not in titles]
    if dropped:
        console.print(styled(f"no room for: {', '.join(dropped)}; --wide shows all", "dim"), soft_wrap=True)


def _used(cells: Sequence[Sequence[str]], kept: Sequence[int], titles: Sequence[str]) -> int:
    """Columns of the terminal that the names take."""
    return sum(2 + max(cell_len(row[i]) for row in [titles, *cells]) for i in kept[:-1])


def _widths(titles: Sequence[str], cells: Sequence[Sequence[str]], room: int | None) -> list[int]:
    """Width of each column but the last, for the rows that fit into `room` together."""
    rows = sorted([[cell_len(cell) for cell in row[:-1]] for row in [titles, *cells]], key=sum)
    while True:
        widths = [max(column) for column in zip(*rows, strict=True)]
        if room is None or len(rows) == 1 or sum(widths) + 2 * len(widths) <= room:
            return widths
        rows.pop()


def _lines(console: Console, row: Sequence[str], widths: Sequence[int], whole: bool) -> Iterator[str]:
    *names, prose = row
    fits = all(cell_len(name) <= width for name, width in zip(names, widths, strict=True))
    indent = sum(widths) + 2 * len(widths) if fits else 4
    head = "".join(name + " " * (width - cell_len(name) + 2) for name, width in zip(names, widths, strict=True))
    if whole:
        yield (head + prose).rstrip()
        return
    folded = fold(prose, max(console.width - indent, _ROOM))
    if fits:
        yield (head + (folded.pop(0) if folded else "")).rstrip()
    else:
        yield "  ".join(name for name in names if name)
    for line in folded:
        yield " " * indent + line
