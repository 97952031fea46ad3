"""`sea-toolkit recipe list | show | check`: recipes by name, what one says with all defaults, and what it will cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sea_toolkit.cli.arguments import RECIPE, assignment
from sea_toolkit.cli.command import Group
from sea_toolkit.cli.hub_options import code_option, network_option, trust_option, with_hub
from sea_toolkit.cli.output import say_json
from sea_toolkit.cli.shared_options import memory_option
from sea_toolkit.registry.allowed import Allowed
from sea_toolkit.registry.records import CORE

if TYPE_CHECKING:
    from sea_toolkit.models.finder import ModelFinder
    from sea_toolkit.registry.hub import PluginHub
    from sea_toolkit.runs.compose import Composition
    from sea_toolkit.runs.forecast import Forecast

Found = TypeVar("Found")


@click.group(cls=Group)
def recipe() -> None:
    """Recipes: list those with a name, show one with all defaults, check one before it is paid for."""


@recipe.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--wide", is_flag=True, help="Show all columns, however narrow the terminal is.")
@with_hub
def list_recipes(hub: PluginHub, as_json: bool, wide: bool) -> None:
    """Show the recipes in the box and of plugins. No plugin is imported.

    `sea-toolkit describe NAME` explains one and its options.
    """
    hub.inspect()
    rows = [
        {"name": name, "qualified": f"{record.distribution}:{name}", "summary": summary, "state": record.status}
        for record in hub.records
        for name, summary in record.provides.get("recipe", {}).items()
    ]
    rows.sort(key=lambda row: (not row["qualified"].startswith(f"{CORE}:"), row["name"], row["qualified"]))
    if as_json:
        say_json(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    from sea_toolkit.cli.console import Console
    from sea_toolkit.cli.listing import print_listing

    console = Console()
    cells = [(row["name"], row["qualified"].partition(":")[0], row["state"], row["summary"]) for row in rows]
    print_listing(console, ("name", "from", "state", "summary"), cells, optional=("state", "from"), wide=wide)
    for record in hub.records:
        if record.failed:
            console.prose(f"\n{record.label} is {record.status}: {record.error}", "red")


def _source(function: Callable[..., Any]) -> Callable[..., Any]:
    """What `show` and `check` read: a recipe, and what is laid over it."""
    name = click.argument("name", metavar="NAME|FILE[,OPTION=VALUE]…", type=RECIPE)
    settings = click.option(
        "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a recipe key: sampler.step_size=0.2"
    )
    as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
    return name(settings(code_option(network_option(trust_option(as_json(function))))))


@recipe.command()
@_source
@with_hub
def show(hub: PluginHub, as_json: bool, **asked: Any) -> None:
    """Print the recipe NAME as it would run, with all defaults, as TOML.

    NAME is a recipe of `recipe list` or a file. Configs and tokenizers are read, and no weights.
    """
    from sea_toolkit.runs.forecast import as_it_would_run

    data = _looked_at(hub, as_it_would_run, **asked)
    if as_json:
        say_json(json.dumps(data, ensure_ascii=False, default=str))
        return
    from sea_toolkit.cli.console import Console, styled
    from sea_toolkit.util.toml_text import document

    Console().print(styled(document(data).rstrip()), soft_wrap=True)


@recipe.command()
@_source
@click.option("--prompts", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="Prompts of a run.")
@click.option(
    "--prompt-tokens", type=click.IntRange(1), default=24, show_default=True, metavar="N",
    help="Tokens of each prompt, without its template.",
)  # fmt: skip
@memory_option
@with_hub
def check(hub: PluginHub, as_json: bool, prompts: int, prompt_tokens: int, **asked: Any) -> None:
    """Check the recipe NAME before it is paid for: what is wrong, by which road each gradient comes, which sampler it
    will be and why, and what a run will cost in FLOPs, base samples and memory.

    NAME is a recipe of `recipe list` or a file. Configs and tokenizers are read, and no weights. A recipe that cannot
    run ends with exit code 2.
    """
    from sea_toolkit.runs.forecast import forecast

    counts = prompts, prompt_tokens
    found = _looked_at(hub, lambda composition, finder: forecast(composition, finder, *counts), **asked)
    if as_json:
        say_json(json.dumps(found.to_dict(), ensure_ascii=False, default=str))
    else:
        _print(found)


def _looked_at(
    hub: PluginHub,
    look: Callable[[Composition, ModelFinder], Found],
    *,
    name: str | dict[str, Any],
    settings: tuple[str, ...],
    allow_code: tuple[str, ...],
    allow_network: tuple[str, ...],
    trust_remote_code: bool,
) -> Found:
    """What a look at the composition of a recipe finds."""
    from sea_toolkit.cli.models import progress_bar
    from sea_toolkit.runs.overrides import build_recipe
    from sea_toolkit.runs.session import Session

    chosen = build_recipe(name, None, None, assignments=map(assignment, settings), hub=hub)
    with progress_bar() as progress:
        session = Session(hub, progress=progress, trust_remote_code=trust_remote_code)
        return look(session.compose(chosen, None, Allowed(allow_code, allow_network)), session.finder)


def _print(found: Forecast) -> None:
    """For a person."""
    from sea_toolkit.cli.console import Console, styled
    from sea_toolkit.cli.listing import print_listing
    from sea_toolkit.util.wording import counted

    console = Console()
    words = {True: "yes", False: "no", None: "?"}
    rows = [(term.label, words[term.gradient], _models(term.models), term.road) for term in found.terms]
    print_listing(console, ("term", "gradient", "runs", "how the gradient comes"), rows)
    console.prose(f"\nsampler {found.sampler}: {found.why}")
    each = "no step" if found.per_step is None else f"{found.per_step:.3g} a step"
    console.prose(
        f"base samples for each prompt: {found.start:.3g} at the start, {each}, {found.samples:.3g} in "
        f"{counted(found.steps, 'step')}"
    )
    console.prose(
        f"{_flops(found.flops)} for {counted(found.prompts, 'prompt')} of {found.prompt_tokens} tokens"
        + ("" if found.flops_per_step is None else f", {_flops(found.flops_per_step)} a step")
    )
    memory = found.memory
    console.prose(
        f"memory about {memory.peak:.0f} MiB on {memory.device}: {memory.rest:.0f} before anything is loaded, "
        f"{memory.weights:.0f} of weights, {memory.each_prompt:.0f} for each prompt that is worked on"
        + (f", {memory.saved:.0f} less in parts that fit" if memory.saved else "")
    )
    for line in found.contradictions:
        console.print(styled(f"contradiction: {line}", "red"), soft_wrap=True)
    for line in found.notes:
        console.print(styled(f"note: {line}", "yellow"), soft_wrap=True)


def _models(models: list[str] | None) -> str:
    return "?" if models is None else ", ".join(models) or "-"


def _flops(number: float) -> str:
    """A number of FLOPs with a unit that fits it."""
    for unit, size in (("PFLOPs", 1e15), ("TFLOPs", 1e12), ("GFLOPs", 1e9)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number / 1e6:.3g} MFLOPs"
