"""The reference pages that list what is in the box and what the commands take, written from the package itself.

`python tests/docs/generate.py` writes them; `test_reference.py` fails when they differ from what would be written.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click

    from sea_toolkit.registry.items import Item

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
NOTE = "<!-- Written by tests/docs/generate.py; change the docstrings or help texts instead. -->\n"
PUBLIC = ("sea_toolkit", "sea_toolkit.testing")
TITLES = {
    "energy": "Energies",
    "relaxation": "Relaxations",
    "schedule": "Schedules",
    "sampler": "Samplers",
    "initializer": "Initializers",
    "model": "Models",
    "recipe": "Recipes",
    "engine": "Engines",
}


def pages() -> dict[Path, str]:
    """Every generated page and its text."""
    os.environ["SEA_PLUGINS"] = ""
    return {FOLDER / "items.md": items_page(), FOLDER / "cli.md": cli_page(), FOLDER / "python.md": python_page()}


IN_SHORT = "<!-- in short -->\n"


def python_page() -> str:
    """The page of public names, with all of them in short at its end: to be read without the site."""
    kept = (FOLDER / "python.md").read_text(encoding="utf-8").partition(IN_SHORT)[0]
    lines = [f"{kept}{IN_SHORT}", "## In short", "", NOTE]
    lines += ["What `help` prints of each, and the methods of a class.", ""]
    for module in PUBLIC:
        package = importlib.import_module(module)
        for name in sorted(package.__all__, key=str.lower):
            lines += ["```text", *in_short(f"{module}.{name}", getattr(package, name)), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def in_short(name: str, thing: Any) -> list[str]:
    """A public name as `help` prints it."""
    if not inspect.isroutine(thing) and not inspect.isclass(thing):
        return [name]
    lines = [*wrapped(name + plain_signature(thing)), *textwrap.indent(inspect.getdoc(thing) or "", "    ").split("\n")]
    for key, value in methods_of(thing) if inspect.isclass(thing) else ():
        function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if inspect.isfunction(function) and not key.startswith("_"):
            summary = (inspect.getdoc(function) or "").partition("\n")[0]
            lines += ["", *wrapped(f".{key}{plain_signature(function)}", 4), *wrapped(summary, 8)]
    return lines


def methods_of(thing: type) -> Iterator[tuple[str, Any]]:
    """What a class has of its own, and of those it derives from that are no public names themselves."""
    public = [name for module in PUBLIC for name in importlib.import_module(module).__all__]
    for owner in thing.__mro__:
        if owner is thing or (owner.__module__.startswith("sea_toolkit") and owner.__name__ not in public):
            yield from vars(owner).items()


def plain_signature(thing: Any) -> str:
    """Names and defaults of the parameters, without annotations."""
    try:
        parameters = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return ""
    plain = [p.replace(annotation=p.empty) for p in parameters if p.name not in ("self", "cls")]
    return re.sub(r"<function (\w+) at 0x\w+>", r"\1", str(inspect.Signature(plain)))


def wrapped(text: str, by: int = 0) -> list[str]:
    """The text in lines of at most 116 characters, indented."""
    return textwrap.wrap(text, 116, initial_indent=" " * by, subsequent_indent=" " * (by + 4), break_on_hyphens=False)


def items_page() -> str:
    """All built-in items with their options."""
    from sea_toolkit.registry.hub import PluginHub

    hub = PluginHub.discover(plugins=[])
    lines = ["# What is in the box", "", NOTE]
    lines += ["`sea-toolkit describe NAME` prints the same, for installed plugins as well.", ""]
    for kind, title in TITLES.items():
        lines += [f"## {title}", ""]
        for item in hub.items(kind):
            lines += [f"### `{item.name}`", "", item.summary, "", *law_of(item), *option_table(item)]
    return "\n".join(lines).rstrip() + "\n"


def law_of(item: Item) -> list[str]:
    """Which law a sampler samples, in its own words."""
    return [f"Law: {item.target.law}", ""] if item.kind == "sampler" else []


def option_table(item: Item) -> list[str]:
    """A table of the item's options, if it has any."""
    if not item.options:
        return []
    lines = ["| option | type | default | meaning |", "|---|---|---|---|"]
    for option in item.options:
        kind = option.type + (", or a schedule" if option.schedulable and "schedule" not in option.type else "")
        default = "required" if option.required else f"`{option.default!r}`"
        lines.append(row(f"`{option.name}`", kind, default, option.doc))
    return [*lines, ""]


def cli_page() -> str:
    """All commands with their arguments and options."""
    import click

    from sea_toolkit.cli import main

    lines = ["# Command line", "", NOTE]
    lines += command_section(main, click.Context(main, info_name="sea-toolkit", **main.context_settings), depth=2)
    return "\n".join(lines).rstrip() + "\n"


def command_section(command: click.Command, context: click.Context, depth: int) -> list[str]:
    """One command and those under it."""
    import click

    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    lines = [f"{'#' * depth} `{context.command_path}`", "", f"`{usage}`", "", *help_of(command)]
    rows = [parameter.get_help_record(context) for parameter in command.get_params(context)]
    if any(rows):
        lines += ["| option | meaning |", "|---|---|", *[row(f"`{r[0]}`", r[1]) for r in rows if r], ""]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                below = click.Context(inner, info_name=name, parent=context)
                lines += command_section(inner, below, depth + 1)
    return lines


def help_of(command: click.Command) -> list[str]:
    """The help text's paragraphs; `\\b` keeps the lines of a paragraph, as it does in a terminal."""
    lines: list[str] = []
    for paragraph in (command.help or "").split("\f")[0].split("\n\n"):
        kept = paragraph.strip("\n")
        if kept.lstrip().startswith("\b"):
            lines += ["```text", kept.lstrip().removeprefix("\b").strip("\n"), "```", ""]
        elif kept.strip():
            lines += [" ".join(kept.split()), ""]
    return lines


def row(*cells: str) -> str:
    """One line of a table; two brackets in a row would be a link of Markdown."""
    plain = (" ".join(cell.split()).replace("|", "\\|").replace("] [", "] \\[") for cell in cells)
    return "| " + " | ".join(plain) + " |"


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
