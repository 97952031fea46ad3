"""`sea-toolkit pareto`: the whole trade-off between objectives, in one sweep over their weights."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sea_toolkit.cli.arguments import (
    GIVEN,
    PATH,
    assignment,
    energy_term,
    reward_term,
    servers_in,
)
from sea_toolkit.cli.command import Command
from sea_toolkit.cli.completion import SAMPLERS
from sea_toolkit.cli.ending import end_interrupted
from sea_toolkit.cli.engine import arguments, asked_engine
from sea_toolkit.cli.hub_options import code_option, network_option, trust_option, with_hub
from sea_toolkit.cli.output import say, say_json
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
from sea_toolkit.errors import RecipeError

if TYPE_CHECKING:
    from sea_toolkit.registry.hub import PluginHub

_SECTIONS = {
    "What to answer": ("--column", "--skip", "--limit", "--system", "--template", "--template-option"),
    "What is traded off": ("--reward", "--energy", "--objective", "--weights", "--strength", "--draft"),
    "How to search": ("--sampler", "--chains", "--steps", "--budget", "--max-new-tokens", "--seed", "--batch"),
    "What it is compared with": ("--best-of-n", "--prompted", "--answers"),
    "The policy": ("--model", "--device", "--dtype", "--attention", "--trust-remote-code"),
    "A recipe": ("--recipe", "--set", "--allow-code", "--allow-network"),
    "Who does the work": ("--engine", "--workers", "--gpus-per-worker", "--address"),
    "What is kept and shown": ("--pick", "--out", "--plot", "--html", "--json", "--wide"),
}
_EXAMPLES = """\b
Examples:
  sea-toolkit pareto prompts.txt --reward sentiment --energy length,target=12 --out front
  sea-toolkit pareto prompts.txt --reward toxicity=-1 --reward sentiment --pick "toxicity <= -4"
"""


@click.command(cls=Command, sections=_SECTIONS, epilog=_EXAMPLES)
@click.argument("prompts", metavar="PROMPTS", type=PATH)
@term_options
@click.option(
    "--objective", "objectives", multiple=True, metavar="LABEL", type=GIVEN,
    help="A term that is traded off; may be repeated.  [default: all rewards and energies]",
)  # fmt: skip
@click.option(
    "--weights", multiple=True, metavar="DESIGN", default=["grid:5"], show_default=True, type=GIVEN,
    help="grid:N, simplex:N, adaptive:N, or one vector as in 1,3; vectors may be repeated.",
)  # fmt: skip
@click.option(
    "--strength", type=float, default=16.0, show_default=True,
    help="Nats for each unit of an objective, shared out by the weights.",
)  # fmt: skip
@click.option(
    "--best-of-n/--no-best-of-n", default=True, show_default=True,
    help="Draw as many answers of the policy as the sweep has cost, and compare their front with it.",
)  # fmt: skip
@click.option(
    "--prompted", multiple=True, metavar="LABEL=TEXT", type=GIVEN,
    help="Compare with answers drawn under this instruction, at the same cost; may be repeated.",
)  # fmt: skip
@click.option(
    "--answers", type=click.IntRange(2), default=16, show_default=True,
    help="Answers of the policy for each prompt that measure the units.",
)  # fmt: skip
@click.option(
    "--pick", multiple=True, metavar="RULE", type=GIVEN,
    help='Print an answer for each prompt: knee, weights as in 1,3, or "LABEL <= NUMBER"; conditions are joined.',
)  # fmt: skip
@click.option(
    "--sampler",
    metavar="NAME",
    type=GIVEN,
    shell_complete=SAMPLERS,
    help="Sampler; by default the best one that the energies allow.",
)
@click.option("--chains", type=int, help="Chains for each prompt and weight.")
@click.option("--steps", type=int, help="Steps to take.  [default: what the budget allows]")
@click.option("--budget", type=float, help="Compute for each prompt and weight, in base samples.")
@click.option("--max-new-tokens", type=int, help="Length of an answer in tokens, at most.  [default: 48]")
@click.option("--seed", type=int, help="Seed of all randomness.  [default: 0]")
@click.option("--draft", metavar="TEXT", help="Improve this text instead of the policy's own samples.")
@prompt_options
@click.option(
    "--batch", type=click.IntRange(1), default=8, show_default=True, help="Prompts in flight, each under all weights."
)
@recipe_options
@policy_options
@trust_option
@code_option
@network_option
@click.option(
    "--out", metavar="DIR", type=PATH, help="Keep rows and the report here; the same command goes on where it stopped."
)
@click.option("--plot", metavar="FILE", type=PATH, help="Draw the front into a .png, .svg or .pdf file.")
@engine_options
@html_option
@click.option("--json", "as_json", is_flag=True, help="Print the report, and the picks, as JSON and nothing else.")
@click.option("--wide", is_flag=True, help="Show all columns of the tables, however narrow the terminal is.")
@with_hub
def pareto(
    hub: PluginHub,
    prompts: Path,
    rewards: tuple[str, ...],
    energies: tuple[str, ...],
    objectives: tuple[str, ...],
    weights: tuple[str, ...],
    strength: float,
    best_of_n: bool,
    prompted: tuple[str, ...],
    answers: int,
    pick: tuple[str, ...],
    column: str | None,
    skip: int,
    limit: int | None,
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
    plot: Path | None,
    page: Path | None,
    as_json: bool,
    wide: bool,
    **flags: Any,
) -> None:
    """Answer PROMPTS under many weights of the objectives in one sweep, and show the whole trade-off.

    PROMPTS is a text file with a prompt a line (- is standard input), or a .csv, .tsv or .jsonl file (also with .gz)
    with a column of prompts.
    """
    crew = asked_engine(engine, workers, gpus_per_worker, address, {"--out DIR": out})
    refuse_page(page, out)
    from sea_toolkit.util.prompts import choose, different

    if plot is not None and plot.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise RecipeError(f"--plot {plot}", expected="a file whose name ends in .png, .svg or .pdf")
    texts = choose(different(asked_prompts((), str(prompts), column, None)), skip=skip, limit=limit)
    from sea_toolkit.cli.render import live
    from sea_toolkit.runs.overrides import build_recipe

    terms = [*map(reward_term, rewards), *map(energy_term, energies)]
    chosen = build_recipe(recipe, None, flags, terms=terms, assignments=map(assignment, overrides), hub=hub)
    with live(f"loading {chosen.policy.model}") as shown:
        from sea_toolkit.evaluation.pareto import pareto as run

        try:
            front = run(
                texts, recipe=chosen, objectives=objectives, weights=weights, strength=strength, best_of_n=best_of_n,
                prompted=prompted, pick=pick, answers=answers, batch=batch, allow_code=allow_code,
                allow_network=(*allow_network, *servers_in(terms)), trust_remote_code=trust_remote_code, out=out,
                **arguments(crew), hub=hub,
                watch=shown.watching("sweeping"), on_interrupt="raise", progress=shown.progress,
                command=shlex.join(["sea-toolkit", *sys.argv[1:]]),
            )  # fmt: skip
        except KeyboardInterrupt:
            end_interrupted(out)
    for note in front.plot(plot) if plot is not None else ():
        say(f"note: {note}", err=True)
    if as_json:
        picked = {"picks": [one.to_dict() for one in front.pick(*pick)]} if pick else {}
        say_json(json.dumps({**front.data(), **picked}, ensure_ascii=False))
    else:
        from sea_toolkit.cli.fronts import print_front

        print_front(front, pick, out, wide)
    write_page(page, out)
