"""`sea-toolkit models list | pull | remove | convert`: the catalog of named models and where they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sea_toolkit.cli.arguments import PATH
from sea_toolkit.cli.command import Group
from sea_toolkit.cli.completion import names_of
from sea_toolkit.cli.hub_options import hub_of
from sea_toolkit.cli.output import say, say_json
from sea_toolkit.errors import ModelError, SeaError, did_you_mean
from sea_toolkit.models.resolve import model_of
from sea_toolkit.util.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

    from sea_toolkit.models.named import NamedModel
    from sea_toolkit.registry.hub import PluginHub
    from sea_toolkit.registry.items import Item
from sea_toolkit.registry.records import KINDS


@click.group(cls=Group)
def models() -> None:
    """Named models: list, download and remove them."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--verify", is_flag=True, help="Check the SHA-256 of all cached files (reads all of them).")
@click.option("--wide", is_flag=True, help="Show all columns, however narrow the terminal is.")
@click.pass_context
def list_models(ctx: click.Context, as_json: bool, verify: bool, wide: bool) -> None:
    """Show every model of the catalog and where it is."""
    hub = hub_of(ctx)
    hub.load_for(KINDS["model"], tolerant=True)
    rows = [_row(item, verify) for item in hub.items("model")]
    if as_json:
        say_json(json.dumps(rows, indent=2))
    else:
        _print_table(rows, wide)
    if any(row["error"] for row in rows):
        ctx.exit(1)


@models.command()
@click.argument("name", shell_complete=names_of("model"))
@click.pass_context
def pull(ctx: click.Context, name: str) -> None:
    """Get the model NAME and keep it in the cache."""
    model = model_of(_item(hub_of(ctx), name))
    before = model.find()
    if before is not None and model.in_package:
        say(f"{name} comes with an installed package ({before}); nothing to download.")
        return
    with progress_bar() as progress:
        path = model.pull(progress)
    say(f"{name} {'was already' if before is not None else 'is now'} in {path}")


@models.command()
@click.argument("name", shell_complete=names_of("model"))
@click.pass_context
def remove(ctx: click.Context, name: str) -> None:
    """Delete the cached copy of the model NAME."""
    model = model_of(_item(hub_of(ctx), name))
    if model.remove():
        say(f"removed {name} from the cache")
    elif model.in_package:
        raise ModelError(f"{name} is part of an installed package and cannot be removed by itself")
    else:
        say(f"{name} was not in the cache")


@models.command()
@click.argument("folder", type=PATH)
@click.option("--out", required=True, type=PATH, help="The new folder.")
def convert(folder: Path, out: Path) -> None:
    """Copy the model in FOLDER, whose weights are pickled (.bin), to a new folder with safetensors.

    The pickles are read for their tensors alone, in a process of its own: no code in them runs.
    """
    from sea_toolkit.models.pickles import convert_folder

    with progress_bar() as progress:
        convert_folder(folder, out, progress)
    say(f"{out} holds the model of {folder} as safetensors")


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on stderr that follows `progress(done, total, what)`; one bar for each `what`."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

    from sea_toolkit.cli.console import Console

    tasks: dict[str, TaskID] = {}
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}% {task.fields[amount]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(err=True), transient=True) as bar:

        def progress(done: int, total: int, what: str) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total, amount="")
            amount = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB" if total > 1_000_000 else ""
            bar.update(tasks[what], completed=done, total=total, amount=amount)

        yield progress


def _item(hub: PluginHub, name: str) -> Item:
    known = {key for item in hub.items("model") for key in (item.name, item.qualified)}
    if name not in known:
        hub.load_for(KINDS["model"])
        names = [item.name for item in hub.items("model")]
        if name not in names:
            raise ModelError(
                f"no model is called {name!r}", hint=did_you_mean(name, names) + " (sea-toolkit models list)"
            )
    return hub.get("model", name)


def _where(model: NamedModel, path: Path | None) -> str:
    if path is None:
        return "not yet"
    if model.in_package:
        return "in the package"
    return "on this machine" if model.folder is None else "cached"


def _row(item: Item, verify: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": item.name,
        "qualified": item.qualified,
        "role": None,
        "for_policy": None,
        "where": "unknown",
    }
    row |= {"path": None, "megabytes": None, "license": None, "summary": item.summary, "error": None}
    try:
        model = model_of(item)
        row |= {"role": model.role, "megabytes": model.megabytes, "license": model.license}
        row["for_policy"] = model.policy
        path = model.find()
        if verify and path is not None:
            model.verify()
        row["path"] = None if path is None else str(path)
        row["where"] = _where(model, path)
    except ModelError as error:
        row |= {"where": "damaged", "error": str(error)}
    except SeaError as error:  # of a plugin, or there is no cache to look into
        row["error"] = str(error)
    return row


def _print_table(rows: list[dict[str, Any]], wide: bool) -> None:
    from sea_toolkit.cli.console import Console
    from sea_toolkit.cli.listing import print_listing

    cells = [
        (
            row["name"],
            row["role"] or "?",
            row["for_policy"] or "",
            row["where"],
            _size(row["megabytes"]),
            row["license"] or "?",
            row["summary"],
        )
        for row in rows
    ]
    console = Console()
    titles = ("name", "role", "for", "where", "size", "licence", "summary")
    print_listing(console, titles, cells, optional=("for", "licence", "size", "role"), wide=wide)
    for row in rows:
        if row["error"]:
            console.prose(f"\n{row['name']}: {row['error']}", "red")


def _size(megabytes: float | None) -> str:
    if megabytes is None:
        return "?"
    return f"{megabytes:.0f} MB" if megabytes >= 1 else f"{megabytes * 1000:.0f} kB"
