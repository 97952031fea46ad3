"""`sea-toolkit preferences`: pairs of answers out of runs, for trainers of preferences."""

from __future__ import annotations

from pathlib import Path

import click

from sea_toolkit.cli.arguments import PATH
from sea_toolkit.cli.command import Command
from sea_toolkit.cli.output import say
from sea_toolkit.errors import RecipeError


@click.command(cls=Command)
@click.argument("runs", metavar="RUN…", nargs=-1, required=True, type=PATH)
@click.option("--margin", type=float, default=0.0, show_default=True, help="Nats by which the energy has to fall.")
@click.option("--texts", is_flag=True, help="Rows of texts instead of messages.")
@click.option("--out", metavar="FILE", type=PATH, required=True, help="Write a JSON line for each pair here.")
def preferences(runs: tuple[Path, ...], margin: float, texts: bool, out: Path) -> None:
    """Write pairs of answers of finished RUNs, for trainers such as DPO.

    Each line has `prompt`, `chosen` (the aligned answer) and `rejected` (the first one). Prompts whose answer stayed
    the same, or is outside a limit, have none.
    """
    from sea_toolkit.evaluation.preferences import preferences as rows_of
    from sea_toolkit.runs.stored import StoredRun
    from sea_toolkit.util.run_files import to_line, write_run_file
    from sea_toolkit.util.wording import counted

    if out.exists() or not out.absolute().parent.is_dir():
        raise RecipeError(
            f"--out {out} {'is there already' if out.exists() else 'is in no folder that is there'}",
            expected="a new file",
        )
    results = []
    for run in runs:
        stored = StoredRun.read(run)
        if not stored.results:
            raise RecipeError(
                f"the run in {run} has no results yet",
                expected="a run that has ended",
                hint=f"sea-toolkit resume {run}",
            )
        results += stored.results
    rows = rows_of(results, margin=margin, conversational=not texts)
    write_run_file(out, b"".join(map(to_line, rows)))
    say(f"wrote {counted(len(rows), 'pair')} of {counted(len(results), 'prompt')} to {out}")
