"""`sea-toolkit new-plugin`: a plugin package to start from, complete and tested."""

from __future__ import annotations

from pathlib import Path

import click

from sea_toolkit.cli.arguments import PATH
from sea_toolkit.cli.group import Command, hub_of
from sea_toolkit.cli.output import say
from sea_toolkit.registry.records import CORE, KINDS
from sea_toolkit.registry.scaffold import names_of, render, write_package


@click.command("new-plugin", cls=Command)
@click.argument("name")
@click.option("--kind", type=click.Choice([*KINDS]), required=True, help="What the plugin adds.")
@click.option("--out", type=PATH, default=".", help="Where its folder goes.  [default: this folder]")
@click.pass_context
def new_plugin(ctx: click.Context, name: str, kind: str, out: Path) -> None:
    """Write the package sea-NAME: code that works, tests, README, CI and licence.

    It installs, is listed, runs and passes its own tests as it is; replace the example in it by your own. A folder
    that exists is left alone.
    """
    built_in = {item.name for item in hub_of(ctx).items(kind) if item.distribution == CORE}
    names = names_of(name, kind, built_in)
    files, folder = render(names), out / names.dist
    write_package(files, folder)
    say(f"wrote {folder}, with the {kind} {names.item!r}:")
    for path in sorted(files):
        say(f"    {path}")
    say("next:")
    for line in (f"cd {folder}", 'pip install -e ".[test]"', "pytest", f"sea-toolkit describe {names.item}"):
        say(f"    {line}")
