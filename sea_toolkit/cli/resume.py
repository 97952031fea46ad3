"""`sea-toolkit resume`: go on with a run from its last checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sea_toolkit.cli.align import show
from sea_toolkit.cli.arguments import PATH
from sea_toolkit.cli.group import Command, code_option, trust_option, with_hub

if TYPE_CHECKING:
    from sea_toolkit.registry.hub import PluginHub


@click.command(cls=Command)
@click.argument("folder", metavar="DIR", type=PATH)
@click.option("--force", is_flag=True, help="Go on though plugins or models have changed; the manifest records it.")
@code_option
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else: one object per prompt.")
@with_hub
def resume(
    hub: PluginHub, folder: Path, force: bool, allow_code: tuple[str, ...], trust_remote_code: bool, as_json: bool
) -> None:
    """Go on with the run in DIR (made by `align --out DIR`), as if it had never stopped."""
    from sea_toolkit.api import resume as run

    def start(on_event: Callable[..., None], progress: Callable[..., None]) -> Any:
        return run(
            folder,
            hub=hub,
            allow_code=allow_code,
            trust_remote_code=trust_remote_code,
            force=force,
            on_event=on_event,
            progress=progress,
        )

    show(start, as_json, folder)
