"""`sea-toolkit status`: how far a folder of many prompts is."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from sea_toolkit.cli.arguments import PATH
from sea_toolkit.cli.command import Command
from sea_toolkit.cli.many import failures, say_skipped, summary
from sea_toolkit.cli.output import say, say_json


@click.command(cls=Command)
@click.argument("folder", metavar="DIR", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def status(folder: Path, as_json: bool) -> None:
    """Show how far the many prompts in DIR are (made by `align --prompts FILE --batch N --out DIR`).

    Nothing is changed, and no model is loaded; it may be asked while workers are at it.
    """
    from sea_toolkit.shards.standing import Standing
    from sea_toolkit.shards.store import Store

    standing = Standing.of(Store(folder))
    if as_json:
        say_json(json.dumps(asdict(standing), ensure_ascii=False))
        return
    say(summary(standing, folder))
    if standing.working:
        say(f"in work: shards {', '.join(map(str, standing.working))}")
    if not standing.is_whole and not standing.working:
        say(f"nobody works on it; go on with: sea-toolkit resume {folder}")
    for line in failures(standing, folder) if standing.failed else ():
        say(line)
    say_skipped(standing.skipped)
