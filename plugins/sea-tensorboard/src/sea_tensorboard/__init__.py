"""TensorBoard for sea_toolkit: an observer that writes runs as they go, and a command for runs that are over.

The environment variable `SEA_TENSORBOARD` names the folder; without it nothing is written.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from sea_toolkit import Event, hookimpl

sea_api = 1
VARIABLE = "SEA_TENSORBOARD"

_open: dict[str, Any] = {}
"""The log of each run that is going on."""


@hookimpl
def sea_observe(event: Event) -> None:
    """Write what a step tells: lowest energies, the sampler's metrics, samples spent, and texts when they change."""
    root = os.environ.get(VARIABLE, "")
    if not root:
        return
    from sea_tensorboard.log import Log, folder_for

    if event.run not in _open:
        _open[event.run] = Log(folder_for(Path(root).expanduser()))
    _open[event.run].event(event)
    if event.kind == "end":
        _open.pop(event.run).close()


@hookimpl
def sea_register_commands(cli: click.Group) -> None:
    """Add the command `tensorboard`."""

    @cli.command("tensorboard")
    @click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
    @click.option("--to", required=True, type=click.Path(path_type=Path), help="TensorBoard's folder.")
    def tensorboard(runs: tuple[Path, ...], to: Path) -> None:
        """Write the traces of finished RUNS (folders of `align --out`) as TensorBoard event files."""
        from sea_tensorboard.log import convert

        for run in runs:
            click.echo(f"{run}: {convert(run, to / run.resolve().name)} steps, see tensorboard --logdir {to}")
