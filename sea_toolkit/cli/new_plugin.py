"""`sea-toolkit new-plugin`: a plugin package to start from, complete and tested."""

from __future__ import annotations

from pathlib import Path

import click

from sea_toolkit.cli.arguments import PATH
from sea_toolkit.cli.command import Command
from sea_toolkit.cli.hub_options import hub_of
from sea_toolkit.cli.output import say
from sea_toolkit.registry.records import CORE
from sea_toolkit.registry.scaffold import EXAMPLES, ITEM_KINDS, names_of, render, write_package


@click.command("new-plugin", cls=Command)
@click.argument("name")
@click.option("--kind", type=click.Choice([*EXAMPLES]), required=True, help="What the plugin adds.")
@click.option("--out", type=PATH, default=".", help="Where its folder goes.  [default: this folder]")
@click.pass_context
def new_plugin(ctx: click.Context, name: str, kind: str, out: Path) -> None:
    """Write the package sea-NAME: code that works, tests, README, CI and licence.

    It installs, is listed, runs and passes its own tests as it is; replace the example in it by your own. A folder
    that exists is left alone.
    """
    kinds = {ITEM_KINDS[kind], "model"} if kind == "reward" else {kind}  # a reward goes by the name of a model, too
    built_in = {i.name for of_kind in kinds for i in hub_of(ctx).items(of_kind) if i.distribution == CORE}
    names = names_of(name, kind, built_in)
    files, folder = render(names), out / names.dist
    write_package(files, folder)
    say(f"wrote {folder}, with the {kind} {names.item!r}:")
    for path in sorted(files):
        say(f"    {path}")
    say("next:")
    for line in (f"cd {folder}", 'pip install -e ".[test]"', "pytest", f"sea-toolkit describe {names.item}"):
        say(f"    {line}")
