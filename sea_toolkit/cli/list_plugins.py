"""`sea-toolkit list-plugins`: the plugins, their state, and what they provide.

With `--json`, one object:

    sea_toolkit, api    version of the package and of the plugin interface
    plugins             list of {name, distribution, version, value, status, error, warnings, provides, hooks,
                        checked, file, unlisted}; status: built-in, ok, not loaded, broken or refused; provides: kind to
                        names; unlisted: kinds of which it may have more names; checked: built-in, static, or loaded
                        and a time
    items               list of {kind, name, qualified, distribution, version, plugin, summary, status}
    clashes             list of {what, name, owners}; what: "entry point" or a kind
    left_out            keys of the plugins that SEA_PLUGINS leaves out
"""

from __future__ import annotations

import json
from typing import Any

import click

from sea_toolkit.cli.command import Command
from sea_toolkit.cli.hub_options import with_hub
from sea_toolkit.cli.output import say, say_json
from sea_toolkit.errors import PluginError
from sea_toolkit.hookspecs import SEA_API
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.registry.lookup import few_of
from sea_toolkit.registry.records import CORE, KINDS, PluginRecord
from sea_toolkit.util.version import VERSION

_STYLES = {"built-in": "dim", "ok": "green", "broken": "bold red", "refused": "bold red"}

_NOTHING = {"ok": ["nothing"], "not loaded": ["not known before --load"]}
"""What a plugin provides of which no name is known, by its state."""


@click.command("list-plugins", cls=Command)
@click.option("--kind", type=click.Choice([*KINDS, "command"]), help="Only what provides items of this kind.")
@click.option("--load", is_flag=True, help="Verify: import every plugin and all it registers.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--requirements",
    is_flag=True,
    help="Print a requirements file: this package and each distribution with plugins, pinned.",
)
@with_hub
def list_plugins(hub: PluginHub, kind: str | None, load: bool, as_json: bool, requirements: bool) -> None:
    """Show the plugins and how they fare.

    Without --load plugins are not imported: the state comes from the last load if it still applies, else from a look at
    the plugin's source. A broken plugin is a row here and no error, except with --strict-plugins, which implies --load.
    """
    if as_json and requirements:
        raise click.UsageError("--json and --requirements exclude each other")
    if load or hub.strict:
        hub.verify()
    else:
        hub.inspect()
    records = [record for record in hub.records if _concerns(record, kind)]
    if requirements:
        pins = {f"{CORE}=={VERSION}", *(r.requirement for r in records if r.distribution != CORE and not r.from_user)}
        say("\n".join(sorted(pins)))
    elif as_json:
        say_json(json.dumps(report(hub, records, kind), indent=2))
    else:
        _print_tables(report(hub, records, kind))
    failed = [record for record in hub.records if record.failed]
    if hub.strict and failed:
        raise PluginError("; ".join(f"{r.label} is {r.status}: {r.error}" for r in failed))


def report(hub: PluginHub, records: list[PluginRecord], kind: str | None) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "sea_toolkit": VERSION,
        "api": SEA_API,
        "plugins": [_plugin_row(record) for record in records],
        "items": [
            {
                "kind": of_kind,
                "name": name,
                "qualified": f"{record.distribution}:{name}",
                "distribution": record.distribution,
                "version": record.version,
                "plugin": record.name,
                "summary": summary,
                "status": record.status,
            }
            for of_kind in [*KINDS, "command"]
            for record in records
            for name, summary in sorted(record.provides.get(of_kind, {}).items())
            if kind in (None, of_kind)
        ],
        "clashes": [
            {"what": clash.what, "name": clash.name, "owners": list(clash.owners)}
            for clash in hub.clashes()
            if kind is None or clash.what == kind
        ],
        "left_out": hub.left_out,
    }


def _concerns(record: PluginRecord, kind: str | None) -> bool:
    """Whether a row is shown under `--kind`; so is a plugin that may provide more than is known, or has failed."""
    known = kind in record.provides or kind in record.unlisted
    return kind is None or known or (not record.provides and (record.failed or not record.hooks))


def _plugin_row(record: PluginRecord) -> dict[str, Any]:
    names = ("name", "distribution", "version", "value", "status", "error", "warnings", "provides", "hooks")
    values = vars(record)
    row = {name: values[name] for name in (*names, "checked", "file", "unlisted")}
    return row | {"provides": {kind: sorted(summaries) for kind, summaries in record.provides.items()}}


def _provided(row: dict[str, Any]) -> list[str]:
    """What a plugin has, kind by kind; "…" stands for names that only a load tells."""
    kinds = dict.fromkeys([*row["provides"], *row["unlisted"]])
    cells = [
        f"{k}: {', '.join([*row['provides'].get(k, ()), *(['…'] if k in row['unlisted'] else ())])}" for k in kinds
    ]
    if "sea_register_commands" in row["hooks"] and "command" not in kinds:
        cells.append("command: …")
    if "sea_observe" in row["hooks"]:
        cells.append("watches runs")
    return cells or _NOTHING.get(row["status"], [])


def _known_from(checked: str | None) -> str:
    """Where a failure is known from; that of an earlier load may be over."""
    if checked is None:  # its metadata
        return ""
    return " (by its source, not loaded)" if checked == "static" else f" (as of {checked.removeprefix('loaded ')})"


def _print_tables(content: dict[str, Any]) -> None:
    from sea_toolkit.cli.console import Console
    from sea_toolkit.cli.listing import print_listing

    console, plugins = Console(), []
    for row in content["plugins"]:
        provides = "; ".join(_provided(row))
        if row["status"] == "built-in":  # their names follow below
            provides = ", ".join(f"{kind}: {len(names)}" for kind, names in row["provides"].items())
        plugins.append((row["name"], row["distribution"], row["version"], row["status"], provides))
    styles = [_STYLES.get(row["status"], "") for row in content["plugins"]]
    print_listing(console, ("plugin", "distribution", "version", "state", "provides"), plugins, styles)
    console.print()
    notes = _notes(content)
    for text, style in notes:
        console.prose(text, style)
    if notes:
        console.print()
    items = [(row["kind"], row["name"], _source(row), row["summary"]) for row in content["items"]]
    styles = ["red" if row["status"] in ("broken", "refused") else "" for row in content["items"]]
    print_listing(console, ("kind", "name", "from", "summary"), items, styles)


def _source(row: dict[str, Any]) -> str:
    """Where an item is from: the name that is its alone."""
    if row["distribution"] == CORE:
        return "built-in"
    return row["qualified"] + (f" ({row['status']})" if row["status"] in ("broken", "refused") else "")


def _notes(content: dict[str, Any]) -> list[tuple[str, str]]:
    """What went wrong, and the style of each line."""
    notes = []
    for row in content["plugins"]:
        key = f"{row['distribution']}:{row['name']}"
        if row["error"]:
            notes.append((f"{key} is {row['status']}{_known_from(row['checked'])}: {row['error']}", "red"))
        notes += [(f"{key}: {text}", "yellow") for text in row["warnings"]]
    for clash in content["clashes"]:
        notes.append((f"clash: {clash['what']} {clash['name']!r}: {' and '.join(clash['owners'])}", "yellow"))
    if names := content["left_out"]:
        notes.append((f"left out by SEA_PLUGINS: {few_of(names)}", ""))
    return notes
