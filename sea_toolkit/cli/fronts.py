"""A front as people read it in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sea_toolkit.cli.comparison import print_table, statement_color
from sea_toolkit.cli.console import Console
from sea_toolkit.reporting.front_tables import front_caption, front_table, methods_table

if TYPE_CHECKING:
    from sea_toolkit.evaluation.front import Front
    from sea_toolkit.evaluation.picks import Pick

_OPTIONAL = ("CPU seconds", "−log π per token", "seconds", "texts on the front", "samples")
"""Columns that may be left out where a terminal is too narrow, the dearest last."""


def print_front(front: Front, pick: Sequence[str], out: Path | None, wide: bool) -> None:
    """The caption, the tables, what differs, notes, and the picked answers.

    Args:
        front: of the sweep.
        pick: how to pick; no answers are shown without.
        out: the folder it was written to.
        wide: keep all columns of the tables on a narrow terminal too.

    Raises:
        RecipeError: no text holds what is picked by; all else is printed by then.
    """
    console, data = Console(), front.data()
    for line in front_caption(data):
        console.prose(line, "dim")
    if data["cells"]:
        print_table(console, *methods_table(data), wide=wide, optional=_OPTIONAL)
        print_table(console, *front_table(data), wide=wide, optional=_OPTIONAL)
    for pair, statement in zip(data["differences"], data["statements"], strict=True):
        console.prose(statement, statement_color(pair["verdict"]))
    for note in data["notes"]:
        console.prose(f"note: {note}", "yellow")
    if out is not None:
        console.prose(f"written to {out}", "dim")
    for one in front.pick(*pick) if pick else ():
        _print_pick(console, one)


def _print_pick(console: Console, pick: Pick) -> None:
    console.prose(f"{pick.prompt}", "bold")
    if pick.text is None:
        console.prose(pick.note, "yellow")
        return
    console.prose(pick.text)
    values = ", ".join(f"{label} {value:.4g}" for label, value in pick.values.items())
    nll = "" if pick.nll_per_token is None else f", −log π per token {pick.nll_per_token:.2f}"
    console.prose(f"{values}{nll}; met under {pick.where}{'' if pick.finished else '; not finished'}", "dim")
