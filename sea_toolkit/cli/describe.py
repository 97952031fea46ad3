"""`sea-toolkit describe NAME`: what an item does, its options, and where it comes from.

With `--json`, one object `{"items": [...]}` with, for each item of that name: kind, name, qualified, plugin,
distribution, version, summary, doc, facts (gradient and unit of an energy; law, needs_gradient and reads_budget of a
sampler; role, license and megabytes of a model), options, a list of {name, type, default, required, schedulable, doc},
and schema, the JSON schema of the table of options.
"""

from __future__ import annotations

import json
from typing import Any

import click

from sea_toolkit.cli.command import Command
from sea_toolkit.cli.completion import names_of
from sea_toolkit.cli.hub_options import with_hub
from sea_toolkit.cli.output import say_json
from sea_toolkit.models.resolve import model_of
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.registry.items import Item
from sea_toolkit.registry.options import Option
from sea_toolkit.registry.records import CORE, KINDS

_UNIT = "its own, lower is better; the recipe's weight makes it nats"
_WORDS: dict[Any, str] = {True: "yes", False: "no", None: "known when a run starts"}


@click.command("describe", cls=Command)
@click.argument("name", shell_complete=names_of())
@click.option("--kind", type=click.Choice(list(KINDS)), help="Only the item of this kind.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_hub
def describe(hub: PluginHub, name: str, kind: str | None, as_json: bool) -> None:
    """Explain an item and its options.

    NAME is a short name or distribution:name, as in list-plugins. If several kinds have it, all are shown.
    """
    items = hub.find_anywhere(name, kind)
    if not items:
        raise hub.unknown(kind, name)
    described = [description(item) for item in items]
    if as_json:
        say_json(json.dumps({"items": described}, indent=2))
        return
    for item, entry in zip(items, described, strict=True):
        _print(entry, item.prose)


def description(item: Item) -> dict[str, Any]:
    """What `--json` prints for one item."""
    return {
        "kind": item.kind,
        "name": item.name,
        "qualified": item.qualified,
        "plugin": item.plugin,
        "distribution": item.distribution,
        "version": item.version,
        "summary": item.summary,
        "doc": item.doc,
        "facts": {fact: _plain(value) for fact, value in _facts(item).items()},
        "options": [_option(option) for option in item.options],
        "schema": item.schema,
    }


def _facts(item: Item) -> dict[str, Any]:
    """What an item states of itself beside its options."""
    if item.kind == "model":
        model = model_of(item)
        return {"role": model.role, "license": model.license, "megabytes": model.megabytes}
    if item.kind == "energy":
        return {"gradient": _has_gradient(item), "unit": _UNIT}
    if item.kind != "sampler":
        return {}
    from sea_toolkit.samplers.base import sampler_class  # with torch, which a sampler needs anyway

    sampler = sampler_class(item)
    return {"law": str(sampler.law), "needs_gradient": sampler.needs_gradient, "reads_budget": sampler.reads_budget}


def _has_gradient(item: Item) -> bool | None:
    """Whether an energy has a gradient; None if that is known only once it is bound to a run."""
    from sea_toolkit.problem.energy import Energy, FunctionEnergy

    energy = item.target
    if isinstance(energy, type):
        return energy.differentiable if issubclass(energy, Energy) else None
    return FunctionEnergy(energy, {option.name: option.default for option in item.options}).differentiable


def _option(option: Option) -> dict[str, Any]:
    return {
        "name": option.name,
        "type": option.type,
        "default": _plain(option.default),
        "required": option.required,
        "schedulable": option.schedulable,
        "doc": option.doc,
    }


def _plain(value: Any) -> Any:
    """The value as a recipe would write it if it can, else how Python prints it."""
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        plain = to_jsonable_python(value)
        json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError, PydanticSerializationError):
        return repr(value)
    return plain


def _print(entry: dict[str, Any], prose: str) -> None:
    from sea_toolkit.cli.console import Console
    from sea_toolkit.cli.listing import print_listing

    console = Console()
    console.prose(f"{entry['kind']} {entry['name']} ({_origin(entry)})", "bold")
    told = prose.startswith(entry["summary"].rstrip("."))
    console.prose(prose if told else f"{entry['summary']}\n\n{prose}".strip())
    for fact, value in entry["facts"].items():
        console.prose(f"{fact.replace('_', ' ')}: {_WORDS.get(value, value)}")
    if not entry["options"]:
        console.prose("no options\n")
        return
    console.print()
    rows = [(option["name"], _type(option), _default(option), option["doc"]) for option in entry["options"]]
    print_listing(console, ("option", "type", "default", "what it does"), rows)
    console.print()


def _type(option: dict[str, Any]) -> str:
    kind: str = option["type"]
    return f"{kind} | schedule" if option["schedulable"] and "schedule" not in kind else kind


def _default(option: dict[str, Any]) -> str:
    if option["required"]:
        return "required"
    return "none" if option["default"] is None else json.dumps(option["default"], ensure_ascii=False)


def _origin(entry: dict[str, Any]) -> str:
    if entry["distribution"] == CORE:
        return f"built-in, {entry['qualified']}"
    return f"{entry['qualified']}, plugin {entry['plugin']!r} of {entry['distribution']} {entry['version']}"
