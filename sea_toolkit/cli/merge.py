"""`sea-toolkit merge`: the answers to many prompts as one table."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sea_toolkit.cli.arguments import PATH
from sea_toolkit.cli.command import Command
from sea_toolkit.cli.many import SOME_FAILED, failures
from sea_toolkit.cli.output import say, say_error
from sea_toolkit.errors import RecipeError
from sea_toolkit.util.wording import counted


@click.command(cls=Command)
@click.argument("folder", metavar="DIR", type=PATH)
@click.option("--to", "target", metavar="FILE", type=PATH, required=True, help="A .jsonl or .parquet file to write.")
def merge(folder: Path, target: Path) -> None:
    """Write the answers to the many prompts in DIR to one table, in the order of the prompts, each once.

    A line has the prompt's number, both answers, terms, rewards, notes and the user's own columns. Every file of every
    run is checked. The same plan gives the same bytes, whoever has worked on it.
    """
    kind = target.suffix.lower()
    if kind not in (".jsonl", ".parquet"):
        raise RecipeError(f"--to {target}", expected="a name that ends in .jsonl or .parquet")
    if target.is_dir():
        raise RecipeError(f"--to {target} is a folder", expected="a file to write")
    from sea_toolkit.shards.merge import write_jsonl
    from sea_toolkit.shards.parquet import write_parquet
    from sea_toolkit.shards.standing import Standing
    from sea_toolkit.shards.store import Store

    store = Store(folder)
    count = (write_jsonl if kind == ".jsonl" else write_parquet)(store, target)
    say(f"{counted(count, 'answer')} in {target}")
    standing = Standing.of(store)
    if standing.failed:
        say_error("\n".join(failures(standing, folder)))
        sys.exit(SOME_FAILED)
