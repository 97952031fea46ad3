"""`sea-toolkit resume`: go on with a run from its last checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sea_toolkit.cli.align import resume_command, show
from sea_toolkit.cli.arguments import PATH
from sea_toolkit.cli.command import Command
from sea_toolkit.cli.group import code_option, network_option, trust_option, with_hub
from sea_toolkit.cli.shared_options import time_option
from sea_toolkit.registry.allowed import Allowed

if TYPE_CHECKING:
    from sea_toolkit.registry.hub import PluginHub


@click.command(cls=Command)
@click.argument("folder", metavar="DIR", type=PATH)
@click.option("--steps", type=click.IntRange(min=1), help="Go on to this many steps in all.")
@click.option("--budget", type=float, help="Go on to this compute per prompt in all, in base samples.")
@time_option
@click.option("--force", is_flag=True, help="Go on though plugins or models have changed; the manifest records it.")
@code_option
@network_option
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else: one object per prompt.")
@with_hub
def resume(
    hub: PluginHub,
    folder: Path,
    steps: int | None,
    budget: float | None,
    max_seconds: float | None,
    force: bool,
    allow_code: tuple[str, ...],
    allow_network: tuple[str, ...],
    trust_remote_code: bool,
    as_json: bool,
) -> None:
    """Go on with the run in DIR (made by `align --out DIR`), as if it had never stopped.

    A run that is done gives its results again; with --steps or --budget it goes on for longer.
    """

    def start(on_event: Callable[..., None], progress: Callable[..., None]) -> Any:
        if steps is None and budget is None:
            from sea_toolkit.runs.stored import finished

            done = finished(folder)
            if done is not None:
                return done.results
        from sea_toolkit.api import resume as run

        return run(
            folder,
            hub=hub,
            steps=steps,
            budget=budget,
            allow_code=allow_code,
            allow_network=allow_network,
            trust_remote_code=trust_remote_code,
            force=force,
            max_seconds=max_seconds,
            on_event=on_event,
            on_interrupt="raise",
            progress=progress,
        )

    again = resume_command(hub, folder, Allowed(allow_code, allow_network), trust_remote_code)
    show(start, as_json, folder, f"loading the run in {folder}", again)
