"""`sea-toolkit compare`: several samplers on the same prompts, at the same budgets."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sea_toolkit.cli.arguments import (
    GIVEN,
    PATH,
    assignment,
    energy_term,
    judge,
    reward_term,
    servers_in,
)
from sea_toolkit.cli.command import Command
from sea_toolkit.cli.completion import REWARDS, SAMPLER_LIST
from sea_toolkit.cli.ending import end_interrupted
from sea_toolkit.cli.engine import arguments, asked_engine
from sea_toolkit.cli.hub_options import code_option, network_option, trust_option, with_hub
from sea_toolkit.cli.output import say_json
from sea_toolkit.cli.prompt_sources import asked_prompts
from sea_toolkit.cli.report import refuse_page, write_page
from sea_toolkit.cli.shared_options import (
    engine_options,
    html_option,
    policy_options,
    prompt_options,
    recipe_options,
    term_options,
)
from sea_toolkit.cli.values import value_of
from sea_toolkit.errors import RecipeError

if TYPE_CHECKING:
    from sea_toolkit.registry.hub import PluginHub


@click.command(cls=Command)
@click.argument("prompts", metavar="PROMPTS", type=PATH)
@click.option(
    "--samplers",
    required=True,
    metavar="A,B,…",
    type=GIVEN,
    shell_complete=SAMPLER_LIST,
    help="Names; LABEL=NAME to have one twice.",
)
@click.option("--budgets", default="8,16,32,64", show_default=True, metavar="N,N,…", help="In samples per prompt.")
@term_options
@click.option(
    "--judge",
    "judges",
    multiple=True,
    metavar="NAME[,OPTION=VALUE]…",
    shell_complete=REWARDS,
    help="A reward that is not in the energy.",
)
@click.option(
    "--option", "options", multiple=True, metavar="LABEL.KEY=VALUE", help="For one method: tilted.strength=4."
)
@click.option("--versus", multiple=True, metavar="LABEL@BUDGET", help="Compare every point with this one as well.")
@click.option(
    "--select", type=click.Choice(["energy", "reward"]), default="energy", show_default=True,
    help="Which of the texts a run met is its answer: that of the lowest energy, or of the highest weighted reward.",
)  # fmt: skip
@click.option("--seeds", default="0", show_default=True, metavar="N,N,…", help="Averaged within each prompt.")
@prompt_options
@click.option("--sample", type=click.IntRange(1), help="Take this many prompts at random.")
@click.option("--sample-seed", type=click.IntRange(0), default=0, show_default=True, help="Of that choice.")
@click.option("--batch", type=click.IntRange(1), default=16, show_default=True, help="Prompts in flight.")
@click.option("--max-new-tokens", type=int, help="Length of an answer in tokens, at most.  [default: 48]")
@click.option(
    "--rewrite", type=int, metavar="N", help="Let N rewrites by the policy compete with each method's answer."
)
@recipe_options
@policy_options
@trust_option
@code_option
@network_option
@click.option(
    "--out", metavar="DIR", type=PATH, help="Keep rows and the report here; the same command goes on where it stopped."
)
@engine_options
@html_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON and nothing else.")
@click.option("--wide", is_flag=True, help="Show all columns of the table, however narrow the terminal is.")
@with_hub
def compare(
    hub: PluginHub,
    prompts: Path,
    samplers: str,
    budgets: str,
    rewards: tuple[str, ...],
    energies: tuple[str, ...],
    judges: tuple[str, ...],
    options: tuple[str, ...],
    versus: tuple[str, ...],
    select: str,
    seeds: str,
    column: str | None,
    skip: int,
    limit: int | None,
    sample: int | None,
    sample_seed: int,
    batch: int,
    recipe: str | dict[str, Any] | None,
    overrides: tuple[str, ...],
    allow_code: tuple[str, ...],
    allow_network: tuple[str, ...],
    trust_remote_code: bool,
    out: Path | None,
    engine: dict[str, Any] | None,
    workers: int | None,
    gpus_per_worker: float | None,
    address: str | None,
    page: Path | None,
    as_json: bool,
    wide: bool,
    **flags: Any,
) -> None:
    """Run several samplers on the same PROMPTS at the same budgets, and say what differs.

    PROMPTS is a text file with a prompt a line (- is standard input), or a .csv, .tsv or .jsonl file (also with .gz)
    with a column of prompts; in .jsonl a prompt may be a conversation, a list of messages.
    """
    crew = asked_engine(engine, workers, gpus_per_worker, address, {"--out DIR": out})
    refuse_page(page, out)
    from sea_toolkit.util.prompts import choose, different

    asked = different(asked_prompts((), str(prompts), column, None))
    texts = choose(asked, skip=skip, limit=limit, sample=sample, seed=sample_seed)
    points, seed_list = _numbers(budgets, "--budgets", float), _numbers(seeds, "--seeds", int)
    from sea_toolkit.cli.render import live
    from sea_toolkit.runs.overrides import build_recipe

    terms = [*map(reward_term, rewards), *map(energy_term, energies)]
    chosen = build_recipe(recipe, None, flags, terms=terms, assignments=map(assignment, overrides), hub=hub)
    with live(f"loading {chosen.policy.model}") as shown:
        from sea_toolkit.evaluation.compare import compare as run

        try:
            report = run(
                texts, samplers=_words(samplers), budgets=points, recipe=chosen, options=method_options(options),
                seeds=seed_list, judges=list(map(judge, judges)), versus=versus, select=select, batch=batch,
                allow_code=allow_code, allow_network=(*allow_network, *servers_in(terms)),
                trust_remote_code=trust_remote_code, out=out, **arguments(crew),
                hub=hub, watch=shown.watching("comparing"), on_interrupt="raise", progress=shown.progress,
                command=shlex.join(["sea-toolkit", *sys.argv[1:]]),
            )  # fmt: skip
        except KeyboardInterrupt:
            end_interrupted(out)
    if as_json:
        say_json(json.dumps(report.data(), ensure_ascii=False))
    else:
        from sea_toolkit.cli.comparison import print_comparison

        print_comparison(report, out, wide)
    write_page(page, out)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text: str, flag: str, kind: Any) -> list[Any]:
    try:
        return [kind(word) for word in _words(text)]
    except ValueError:
        raise RecipeError(f"{flag} {text}", expected="numbers with commas, as in 8,16,32") from None


def method_options(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`tilted.strength=4` → {"tilted": {"strength": 4}}.

    Raises:
        RecipeError: another form, or an option that is there twice.
    """
    options: dict[str, dict[str, Any]] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        label, dot, key = path.rpartition(".")
        if not (equals and dot and label and key):
            raise RecipeError(f"--option {text}", expected="LABEL.KEY=VALUE, as in tilted.strength=4")
        if key in options.setdefault(label, {}):
            raise RecipeError(f"--option: {path} is there twice", expected="each option once")
        options[label][key] = value_of(value, f"--option {path}")
    return options
