"""`sea-toolkit align`: answer prompts, better."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
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
from sea_toolkit.cli.engine import asked_engine, refuse_without
from sea_toolkit.cli.hub_options import code_option, network_option, trust_option, with_hub
from sea_toolkit.cli.many import carry_out, refuse, say_skipped
from sea_toolkit.cli.prompt_sources import asked_prompts
from sea_toolkit.cli.report import refuse_page, write_page
from sea_toolkit.cli.resume import resume_command
from sea_toolkit.cli.shared_options import (
    engine_options,
    html_option,
    memory_option,
    policy_options,
    recipe_options,
    shard_option,
    term_options,
    time_option,
)
from sea_toolkit.cli.show_run import show
from sea_toolkit.errors import RecipeError
from sea_toolkit.registry.allowed import Allowed
from sea_toolkit.shards.part import Part
from sea_toolkit.util import ranks
from sea_toolkit.util.broken_lines import BrokenLines

if TYPE_CHECKING:
    from sea_toolkit.registry.hub import PluginHub


_SECTIONS = {
    "What to answer": ("--prompts", "--column", "--messages", "--system", "--template", "--template-option"),
    "What is better": ("--reward", "--energy", "--draft", "--rewrite"),
    "How to search": (
        "--sampler",
        "--chains",
        "--steps",
        "--budget",
        "--max-seconds",
        "--max-new-tokens",
        "--seed",
        "--batch",
    ),
    "Many prompts, many machines": ("--skip-bad", "--shard", "--engine", "--workers", "--gpus-per-worker", "--address"),
    "The policy": ("--model", "--device", "--dtype", "--attention", "--memory-limit", "--trust-remote-code"),
    "A recipe": ("--recipe", "--set", "--allow-code", "--allow-network"),
    "What is kept and shown": ("--dry-run", "--explain", "--out", "--checkpoint-every", "--html", "--csv", "--json"),
}
_EXAMPLES = """\b
Examples:
  sea-toolkit align "How was your day?" --reward sentiment=8 --budget 12
  sea-toolkit align --prompts p.csv --reward sentiment=4 --energy length,target=40
"""


@click.command(cls=Command, sections=_SECTIONS, epilog=_EXAMPLES)
@click.argument("prompts", nargs=-1)
@click.option(
    "--prompts", "file", metavar="FILE", type=GIVEN,
    help="Prompts from a file: one a line, or .csv, .tsv, .jsonl, .parquet or .json; - reads lines of standard input.",
)  # fmt: skip
@click.option(
    "--column",
    metavar="NAME",
    type=GIVEN,
    help="Where they are in a table.  [default: instruction, prompt or messages]",
)
@click.option(
    "--messages", metavar="FILE|JSON", type=GIVEN, help='A conversation, or several: [{"role": "user", "content": "…"}]'
)
@term_options
@click.option(
    "--sampler",
    metavar="NAME",
    type=GIVEN,
    shell_complete=SAMPLERS,
    help="Sampler; by default the best one that the energies allow.",
)
@click.option("--chains", type=int, help="Chains per prompt.  [default: the sampler's, for most 4]")
@click.option("--steps", type=int, help="Steps to take.  [default: what the budget allows]")
@click.option(
    "--budget",
    type=float,
    help="Compute to spend per prompt instead of steps, in base samples.  [default: the sampler's, for most 32]",
)
@time_option
@click.option("--max-new-tokens", type=int, help="Length of an answer in tokens, at most.  [default: 48]")
@click.option("--seed", type=int, help="Seed of all randomness.  [default: 0]")
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    help="Prompts in flight, at most; with --out, the prompts of a shard.  [default: all]",
)
@click.option("--skip-bad", is_flag=True, help="Leave out rows of the file that hold no prompt, and name them.")
@shard_option
@engine_options
@recipe_options
@click.option("--rewrite", type=int, metavar="N", help="Let N rewrites by the policy compete with the answer.")
@click.option("--draft", metavar="TEXT", help="Improve this text instead of the policy's own samples.")
@policy_options
@memory_option
@trust_option
@code_option
@network_option
@click.option("--out", metavar="DIR", type=PATH, help="Write recipe, trace, checkpoints and result to this folder.")
@click.option(
    "--checkpoint-every", type=click.IntRange(min=1), default=10, show_default=True, help="Steps between checkpoints."
)
@click.option("--dry-run", is_flag=True, help="Only look: the recipe with its defaults, what each term says, the cost.")
@click.option(
    "--explain",
    is_flag=True,
    help="Tell why each answer won: what decided, the texts that lost, what each token brings.",
)
@html_option
@click.option("--csv", "table", metavar="FILE", type=PATH, help="Write a table of all prompts to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else: one object per prompt.")
@with_hub
def align(
    hub: PluginHub,
    prompts: tuple[str, ...],
    file: str | None,
    column: str | None,
    messages: str | None,
    rewards: tuple[str, ...],
    energies: tuple[str, ...],
    batch: int | None,
    skip_bad: bool,
    shard: Part | None,
    engine: dict[str, Any] | None,
    workers: int | None,
    gpus_per_worker: float | None,
    address: str | None,
    recipe: str | dict[str, Any] | None,
    overrides: tuple[str, ...],
    allow_code: tuple[str, ...],
    allow_network: tuple[str, ...],
    trust_remote_code: bool,
    out: Path | None,
    checkpoint_every: int,
    dry_run: bool,
    explain: bool,
    page: Path | None,
    table: Path | None,
    as_json: bool,
    max_seconds: float | None,
    **flags: Any,
) -> None:
    """Move the policy's answers to PROMPTS towards higher reward, and show what was gained.

    Without PROMPTS, they are read from --prompts FILE, from --messages, or from standard input, one a line.
    """
    broken = BrokenLines(skip=skip_bad)
    asked = ranks.by_first(lambda: asked_prompts(prompts, file, column, messages, broken=broken))
    needed = {"--batch N": batch, "--out DIR": out}
    crew = asked_engine(engine, workers, gpus_per_worker, address, needed)
    if shard is not None:
        refuse_without("--shard", needed)
    _refuse_table(table, [file, messages, recipe["name"] if isinstance(recipe, dict) else recipe])
    refuse_page(page, out)
    from sea_toolkit.runs.overrides import build_recipe

    terms = [*map(reward_term, rewards), *map(energy_term, energies)]
    chosen = build_recipe(recipe, None, flags, terms=terms, assignments=map(assignment, overrides), hub=hub)
    allowed = Allowed(allow_code, (*allow_network, *servers_in(terms)))
    if dry_run:
        if out is not None or table is not None:
            raise RecipeError("--dry-run writes no files", expected="it without --out and --csv")
        if explain:
            raise RecipeError("--dry-run finds no answer to explain", expected="it without --explain")
        from sea_toolkit.cli.dry_run import look

        look(hub, asked, chosen, allowed, trust_remote_code, as_json)
        return

    again = resume_command(hub, out, allowed, trust_remote_code)
    if batch is not None and out is not None:
        refuse({"--max-seconds": max_seconds}, "--steps or --budget: answers must not depend on a clock")
        refuse({"--html": page}, f"sea-toolkit report {out}/shards/00000, for the first of its runs")
        refuse({"--json": as_json, "--csv": table}, f"sea-toolkit merge {out} --to results.jsonl, when all is done")
        from sea_toolkit.shards.answering import begin

        threads = None if crew is None else crew.threads
        store = begin(hub, asked, chosen, allowed, out, batch, checkpoint_every, explain, broken.skipped, threads)
        carry_out(store, hub, allowed, trust_remote_code, shard, crew, again)
    say_skipped(broken.skipped)

    def start(on_event: Callable[..., None], progress: Callable[..., None]) -> Any:
        from sea_toolkit.api import align as run

        return run(
            asked,
            recipe=chosen,
            allow_code=allowed.code,
            allow_network=allowed.network,
            trust_remote_code=trust_remote_code,
            out=out,
            batch=batch,
            explain=explain,
            hub=hub,
            checkpoint_every=checkpoint_every,
            max_seconds=max_seconds,
            on_event=on_event,
            on_interrupt="raise",
            progress=progress,
        )

    show(start, as_json, out, f"loading {chosen.policy.model}", again, _files(table, page, out), explain)


def _refuse_table(table: Path | None, read: Sequence[str | Path | None]) -> None:
    """Raises: RecipeError if the file of --csv is a folder, or one of those that the command reads."""
    if table is None:
        return
    if table.is_dir():
        raise RecipeError(f"--csv {table} is a folder", expected="a file to write")
    if table.exists() and any(name and Path(name).exists() and table.samefile(name) for name in read):
        raise RecipeError(f"--csv {table} would be written over what is read", expected="another file")


def _files(table: Path | None, page: Path | None, out: Path | None) -> list[Callable[[list[Any]], Any]]:
    """What writes the files of --csv and --html."""
    from sea_toolkit.cli.results import write_table

    if ranks.follows():
        return []
    tables = [] if table is None else [functools.partial(write_table, table)]
    return [*tables, lambda results: write_page(page, out)]
