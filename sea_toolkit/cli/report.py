"""`sea-toolkit report`: a page about a run, a comparison or a sweep."""

from __future__ import annotations

from pathlib import Path

import click

from sea_toolkit.cli.arguments import PATH
from sea_toolkit.cli.command import Command
from sea_toolkit.cli.output import say


@click.command(cls=Command)
@click.argument("folder", metavar="DIR", type=PATH)
@click.option(
    "-o", "--output", metavar="FILE", type=PATH, default="report.html", show_default=True, help="The file to write."
)
def report(folder: Path, output: Path) -> None:
    """Write a page about DIR: a run (`align --out`), a comparison (`compare --out`) or a sweep (`pareto --out`).

    One file of HTML without scripts, which can be mailed: it needs no server and no network. A run that has not ended
    is shown as far as it is.
    """
    from sea_toolkit.evaluation.pages import write_report

    written = write_report(folder, output)
    say(f"{written} ({written.stat().st_size / 1e6:.2f} MB)")
