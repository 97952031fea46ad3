"""`sea-toolkit report`: a page about a run, a comparison or a sweep."""

from __future__ import annotations

from pathlib import Path

import click

from sea_toolkit.cli.arguments import PATH
from sea_toolkit.cli.command import Command
from sea_toolkit.cli.output import say
from sea_toolkit.errors import RecipeError


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


def refuse_page(page: Path | None, out: Path | None) -> None:
    """Refuse a file of `--html` before anything is paid for.

    Args:
        page: the file, or None.
        out: the folder that it is about.

    Raises:
        RecipeError: there is no folder, or the file cannot be one.
        SeaError: the extra `report` is not installed.
    """
    if page is None:
        return
    if out is None:
        raise RecipeError(f"--html {page} shows a folder, and there is none", expected="--out DIR beside it")
    from sea_toolkit.evaluation.pages import refuse_target

    refuse_target(out, page)


def write_page(page: Path | None, out: Path | None) -> None:
    """Write the file of `--html`, if it was asked for; see `refuse_page`."""
    if page is not None and out is not None:
        from sea_toolkit.evaluation.pages import write_report

        write_report(out, page)
