"""`sea-toolkit serve`: aligned answers over HTTP, for clients of OpenAI's API."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sea_toolkit.cli.arguments import GIVEN, RECIPE, assignment, energy_term, reward_term, servers_in
from sea_toolkit.cli.command import Command
from sea_toolkit.cli.completion import SAMPLERS
from sea_toolkit.cli.hub_options import code_option, network_option, trust_option, with_hub
from sea_toolkit.cli.output import say
from sea_toolkit.cli.shared_options import policy_options, term_options
from sea_toolkit.errors import RecipeError, SeaError
from sea_toolkit.registry.allowed import Allowed

if TYPE_CHECKING:
    from sea_toolkit.registry.hub import PluginHub
    from sea_toolkit.runs.recipe import Recipe

KERNEL_CACHES = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64", "LRU_CACHE_CAPACITY": "64"}
"""How many kernels oneDNN, and torch beside it, keep for shapes they have met: 1024 each otherwise. Batches of a server
have ever new shapes, and memory grew until both caches were full; what the user has set stays."""

_SECTIONS = {
    "Where it listens": ("--host", "--port", "--api-key"),
    "What it offers": (
        "--recipe", "--reward", "--energy", "--sampler", "--chains", "--steps", "--budget", "--max-new-tokens",
        "--seed", "--set", "--allow-reward", "--allow-energy",
    ),
    "What a request may ask for": (
        "--max-budget", "--max-steps", "--max-chains", "--max-tokens", "--max-choices", "--max-width",
        "--max-characters",
    ),
    "How it works": ("--max-seconds", "--max-batch", "--window", "--queue", "--drain"),
    "The policy": (
        "--model", "--served-name", "--template", "--system", "--template-option", "--device", "--dtype", "--attention",
        "--trust-remote-code",
    ),
    "What recipes may do": ("--allow-code", "--allow-network"),
}  # fmt: skip
_EXAMPLES = """\b
Examples:
  sea-toolkit serve --reward sentiment=8
  sea-toolkit serve --recipe positive --recipe polite.toml --max-budget 32
"""
_COUNT, _POSITIVE = click.IntRange(min=1), click.FloatRange(min=0, min_open=True)


@click.command(cls=Command, sections=_SECTIONS, epilog=_EXAMPLES)
@click.option("--host", default="127.0.0.1", show_default=True, type=GIVEN, help="Name or address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 is any that is free.")
@click.option(
    "--api-key",
    "keys",
    multiple=True,
    metavar="KEY",
    type=GIVEN,
    envvar="SEA_API_KEY",
    show_envvar=True,
    help="A key that clients have to send; may be repeated. In the environment no other user can see it.",
)
@click.option(
    "--recipe",
    "recipes",
    multiple=True,
    metavar="NAME|FILE[,OPTION=VALUE]…",
    type=RECIPE,
    help="A recipe that requests can name; may be repeated, the first is the default. The options below override all.",
)
@term_options
@click.option("--sampler", metavar="NAME", type=GIVEN, shell_complete=SAMPLERS, help="Sampler of all recipes.")
@click.option("--chains", type=int, help="Chains per prompt.")
@click.option("--steps", type=int, help="Steps to take.")
@click.option("--budget", type=float, help="Compute to spend per prompt instead of steps, in base samples.")
@click.option("--max-new-tokens", type=int, help="Length of an answer, if the request names none.  [default: 48]")
@click.option("--seed", type=int, help="Seed of a request that names none.  [default: 0]")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of all recipes.")
@click.option(
    "--allow-reward",
    "rewards_for_requests",
    multiple=True,
    metavar="NAME",
    type=GIVEN,
    help="A reward model that requests may name, beside those of the recipes.",
)
@click.option(
    "--allow-energy",
    "energies_for_requests",
    multiple=True,
    metavar="NAME",
    type=GIVEN,
    help="An energy that requests may add, with all its options, names of files included.",
)
@click.option("--max-budget", type=_POSITIVE, default=64.0, show_default=True, help="Base samples per prompt, at most.")
@click.option("--max-steps", type=_COUNT, default=256, show_default=True, help="Steps, at most.")
@click.option("--max-chains", type=_COUNT, default=16, show_default=True, help="Chains per prompt, at most.")
@click.option("--max-tokens", type=_COUNT, default=512, show_default=True, help="Tokens of an answer, at most.")
@click.option("--max-choices", type=_COUNT, default=8, show_default=True, help="Answers per prompt (n), at most.")
@click.option(
    "--max-width", type=_COUNT, default=64, show_default=True, help="Whole numbers in a sampler's table, at most."
)
@click.option(
    "--max-characters", type=_COUNT, default=50_000, show_default=True, help="Characters of a prompt, at most."
)
@click.option(
    "--max-seconds",
    type=_POSITIVE,
    default=120.0,
    show_default=True,
    metavar="S",
    help="Sampling of a run; then the best so far is the answer.",
)
@click.option("--max-batch", type=_COUNT, default=16, show_default=True, help="Prompts of a run, at most.")
@click.option(
    "--window",
    type=click.FloatRange(min=0),
    default=0.05,
    show_default=True,
    metavar="S",
    help="How long a request waits for others that can share its run.",
)
@click.option("--queue", type=_COUNT, default=64, show_default=True, help="Requests that may wait; the next gets 429.")
@click.option(
    "--drain",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="S",
    help="At the end, how long requests that are there have to be finished.",
)
@click.option("--served-name", metavar="NAME", type=GIVEN, help="What clients call the model.")
@policy_options
@trust_option
@code_option
@network_option
@with_hub
def serve(
    hub: PluginHub,
    host: str,
    port: int,
    keys: tuple[str, ...],
    recipes: tuple[str | dict[str, Any], ...],
    rewards: tuple[str, ...],
    energies: tuple[str, ...],
    overrides: tuple[str, ...],
    rewards_for_requests: tuple[str, ...],
    energies_for_requests: tuple[str, ...],
    served_name: str | None,
    trust_remote_code: bool,
    allow_code: tuple[str, ...],
    allow_network: tuple[str, ...],
    max_budget: float,
    max_steps: int,
    max_chains: int,
    max_tokens: int,
    max_choices: int,
    max_width: int,
    max_characters: int,
    max_seconds: float,
    max_batch: int,
    window: float,
    queue: int,
    drain: float,
    **flags: Any,
) -> None:
    """Answer over HTTP, as OpenAI's API does: chat and text completions whose answers are aligned by a recipe.

    Ctrl-C and SIGTERM end it: no request is let in any more, and those that are there are finished.
    """
    for name, capacity in KERNEL_CACHES.items():  # they are read once, when torch computes for the first time
        os.environ.setdefault(name, capacity)
    terms = [*map(reward_term, rewards), *map(energy_term, energies)]
    named = _named(recipes, flags, terms, overrides, hub)
    try:
        from sea_toolkit.serving.server import Server, bound_socket
    except ImportError as error:
        raise _missing(error) from error
    from sea_toolkit.serving.engine import Engine
    from sea_toolkit.serving.limits import Limits
    from sea_toolkit.serving.menu import Menu, shown_name

    limits = Limits(
        budget=max_budget, steps=max_steps, chains=max_chains, tokens=max_tokens, choices=max_choices, width=max_width,
        characters=max_characters, seconds=max_seconds, batch=max_batch, window=window, waiting=queue, drain=drain,
    )  # fmt: skip
    model = next(iter(named.values())).policy.model
    menu = Menu(served_name or shown_name(model), named, rewards_for_requests, energies_for_requests, limits)
    allowed = Allowed(allow_code, (*allow_network, *servers_in(terms)))
    engine = Engine(menu, hub, allowed=allowed, trust_remote_code=trust_remote_code)
    for recipe in named.values():
        engine.chat.compose(recipe, allowed=allowed)  # refuses before anything is loaded
    place = bound_socket(host, port, keys)
    say(f"loading {model}", err=True)
    address = f"[{host}]" if ":" in host else host
    say(f"http://{address}:{place.getsockname()[1]}/v1 offers {', '.join(menu.models)}", err=True)
    Server(engine, keys).serve_on(place)


def _named(
    recipes: tuple[str | dict[str, Any], ...],
    flags: Mapping[str, Any],
    terms: list[dict[str, Any]],
    overrides: tuple[str, ...],
    hub: PluginHub,
) -> dict[str, Recipe]:
    """The recipes by the names that requests use: that of the recipe, or of its file without the ending.

    Raises:
        RecipeError: one cannot be read, or two have one name.
    """
    from sea_toolkit.runs.overrides import build_recipe

    assignments = list(map(assignment, overrides))
    found: dict[str, Recipe] = {}
    for given in recipes or (None,):
        recipe = build_recipe(given, None, flags, terms=terms, assignments=assignments, hub=hub)
        written = "default" if given is None else given if isinstance(given, str) else str(given["name"])
        name = Path(written).name.removesuffix(".toml")
        if name in found:
            raise RecipeError(f"two recipes are called {name!r}", expected="names of their own: requests use them")
        found[name] = recipe
    return found


def _missing(error: ImportError) -> SeaError:
    """The error where the packages of a server are not installed."""
    from sea_toolkit.util.version import install_hint

    return RecipeError(
        f"serve needs the package {(error.name or 'fastapi').partition('.')[0]}, which is not installed",
        expected="the packages of the extra `serve`",
        hint=install_hint("serve"),
    )
