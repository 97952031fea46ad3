"""Options that several commands share, each written once."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, get_args

import click

from sea_toolkit.cli.arguments import GIVEN, PATH, RECIPE, TERM, named_table, template_values
from sea_toolkit.cli.completion import ENERGIES, POLICIES, REWARDS
from sea_toolkit.models.policy_spec import Attention
from sea_toolkit.shards.part import Part
from sea_toolkit.util.sizes import MEMORY_LIMIT, bytes_of

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _together(*options: Decorator) -> Decorator:
    """Several options as one decorator, in this order."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


term_options = _together(
    click.option(
        "--reward",
        "rewards",
        multiple=True,
        metavar=TERM,
        shell_complete=REWARDS,
        help="A reward, its weight (1 if none) and its options; may be repeated.",
    ),
    click.option(
        "--energy",
        "energies",
        multiple=True,
        metavar=TERM,
        shell_complete=ENERGIES,
        help="Another energy; may be repeated.",
    ),
)
"""`--reward` and `--energy`."""

prompt_options = _together(
    click.option(
        "--column",
        metavar="NAME",
        type=GIVEN,
        help="Where the prompts are in a table.  [default: instruction, prompt or messages]",
    ),
    click.option("--skip", type=click.IntRange(0), default=0, help="Leave out the first prompts."),
    click.option("--limit", type=click.IntRange(1), help="Take this many prompts, in the file's order."),
)
"""Which prompts of a file are taken."""

recipe_options = _together(
    click.option(
        "--recipe",
        metavar="NAME|FILE[,OPTION=VALUE]…",
        type=RECIPE,
        help="A recipe by its name, or a TOML file; the options here override it.",
    ),
    click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a recipe key: energies.0.weight=2"
    ),
)
"""`--recipe` and `--set`."""

policy_options = _together(
    click.option(
        "--model",
        metavar="NAME",
        type=GIVEN,
        shell_complete=POLICIES,
        help="The policy: a catalog name, a folder or a Hugging Face id.",
    ),
    click.option("--template", type=click.Choice(["auto", "chat", "plain"]), help="How a prompt is put to the policy."),
    click.option("--system", metavar="TEXT", help="A system message for prompts that bring none."),
    click.option(
        "--template-option",
        "template_options",
        multiple=True,
        callback=template_values,
        metavar="KEY=VALUE",
        help="A variable of the chat template: enable_thinking=false",
    ),
    click.option("--device", type=GIVEN, help="auto, cpu, cuda, cuda:1, mps."),
    click.option(
        "--dtype", type=click.Choice(["auto", "float32", "bfloat16", "float16"]), help="Weights and activations."
    ),
    click.option("--attention", type=click.Choice(get_args(Attention)), help="How the model computes attention."),
)
"""The policy, and how a prompt is put to it."""

html_option = click.option(
    "--html", "page", metavar="FILE", type=PATH, help="Write a page about it to this file; with --out, which it shows."
)
"""`--html`."""

time_option = click.option(
    "--max-seconds",
    type=float,
    metavar="S",
    help="End after so many seconds of sampling; the best so far is the answer.",
)
"""`--max-seconds`."""


def _set_limit(context: click.Context, option: click.Parameter, text: str | None) -> None:
    """Put the limit into the environment, where this process and its workers look, as long as the command runs."""
    if text is None:
        return
    bytes_of(text, "--memory-limit")
    before = os.environ.get(MEMORY_LIMIT)
    os.environ[MEMORY_LIMIT] = text

    def put_back() -> None:
        if before is None:
            os.environ.pop(MEMORY_LIMIT, None)
        else:
            os.environ[MEMORY_LIMIT] = before

    context.call_on_close(put_back)


memory_option = click.option(
    "--memory-limit",
    metavar="SIZE",
    callback=_set_limit,
    expose_value=False,
    help="What a process may use on a device, models included: 4GiB.  [default: $SEA_MEMORY_LIMIT, or what is free]",
)
"""`--memory-limit`."""


def _part(context: click.Context, option: click.Parameter, text: str | None) -> Part | None:
    return None if text is None else Part.parse(text)


def _engine(context: click.Context, option: click.Parameter, text: str | None) -> dict[str, Any] | None:
    return None if text is None else named_table(text, "--engine", "address=auto")


engine_options = _together(
    click.option(
        "--engine",
        metavar="NAME[,OPTION=VALUE]…",
        callback=_engine,
        help="Who starts workers: local, ray, or one of a plugin.  [default: this process does all by itself]",
    ),
    click.option("--workers", type=click.IntRange(min=1), help="Workers at a time.  [default: 1]"),
    click.option(
        "--gpus-per-worker",
        type=click.FloatRange(min=0),
        metavar="G",
        help="GPUs of each worker; 0.5 for two on one.  [default: 0]",
    ),
    click.option("--address", metavar="ADDRESS", type=GIVEN, help="The engine's option address: of a Ray cluster."),
)
"""`--engine` and what goes with it."""

shard_option = click.option(
    "--shard",
    metavar="I/N",
    callback=_part,
    help="Answer this part of the shards alone, in a job array: 3/16 is the third of sixteen parts.",
)
"""`--shard`."""
