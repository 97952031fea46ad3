"""`sea-toolkit score`: what an energy says of answers that are there already."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sea_toolkit.cli.arguments import GIVEN, PATH, assignment, energy_term, reward_term, servers_in
from sea_toolkit.cli.command import Command
from sea_toolkit.cli.hub_options import code_option, network_option, trust_option, with_hub
from sea_toolkit.cli.output import say, say_json
from sea_toolkit.cli.prompt_sources import asked_prompts
from sea_toolkit.cli.shared_options import policy_options, prompt_options, recipe_options, term_options
from sea_toolkit.errors import RecipeError

if TYPE_CHECKING:
    from sea_toolkit.evaluation.score import Score
    from sea_toolkit.registry.hub import PluginHub
    from sea_toolkit.util.conversation import Prompt

ANSWERS = ("response", "answer", "completion", "output", "text")
"""Where answers are looked for in a table, in this order, if no column is named."""


@click.command(cls=Command)
@click.argument("table", metavar="TABLE", type=PATH)
@click.option(
    "--answer", metavar="NAME", type=GIVEN, help=f"Where the answers are.  [default: {', '.join(ANSWERS[:-1])} or text]"
)
@click.option("--cut", is_flag=True, help="The answers are cut: they have no end that is to be charged for.")
@term_options
@prompt_options
@click.option("--batch", type=click.IntRange(1), default=16, show_default=True, help="Answers that are read together.")
@recipe_options
@policy_options
@trust_option
@code_option
@network_option
@click.option("--out", metavar="FILE", type=PATH, help="Write a JSON line for each answer here.")
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON and nothing else.")
@with_hub
def score(
    hub: PluginHub,
    table: Path,
    answer: str | None,
    cut: bool,
    rewards: tuple[str, ...],
    energies: tuple[str, ...],
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
    as_json: bool,
    **flags: Any,
) -> None:
    """Score the answers in TABLE as a run scores the texts that it meets.

    TABLE is a .csv, .tsv or .jsonl file (also with .gz) with a column of prompts and one of answers. Only the energy,
    the limits and the policy of a recipe matter here.
    """
    from sea_toolkit.util.prompts import choose

    rows = choose(asked_prompts((), str(table), column, None), skip=skip, limit=limit)
    texts = _answers(rows, answer, table)
    if out is not None and (out.exists() or not out.absolute().parent.is_dir()):
        raise RecipeError(
            f"--out {out} {'is there already' if out.exists() else 'is in no folder that is there'}",
            expected="a new file",
        )
    from sea_toolkit.cli.render import live
    from sea_toolkit.runs.overrides import build_recipe

    terms = [*map(reward_term, rewards), *map(energy_term, energies)]
    chosen = build_recipe(recipe, None, flags, terms=terms, assignments=map(assignment, overrides), hub=hub)
    with live(f"loading {chosen.policy.model}") as shown:
        from sea_toolkit.evaluation.score import Scorer

        scorer = Scorer(
            recipe=chosen, batch=batch, allow_code=allow_code, allow_network=(*allow_network, *servers_in(terms)),
            trust_remote_code=trust_remote_code, hub=hub,
        )  # fmt: skip
        found = scorer.score(rows, texts, finished=not cut, progress=shown.progress)
    data = [one.to_dict() for one in found]
    # shown first: a full disk must not lose what was computed
    if as_json:
        say_json(json.dumps(data, ensure_ascii=False))
    else:
        _print(found)
    if out is not None:
        from sea_toolkit.util.run_files import to_line, write_run_file
        from sea_toolkit.util.wording import counted

        write_run_file(out, b"".join(map(to_line, data)))
        if not as_json:
            say(f"wrote {counted(len(found), 'line')} to {out}")


def _answers(rows: Sequence[Prompt], name: str | None, table: Path) -> list[str]:
    """The answer of each row.

    Raises:
        RecipeError: there is no such column, or a cell that is no text.
    """
    known = list(dict.fromkeys(key for row in rows for key in row.columns))
    column = name or next((key for key in ANSWERS if key in known), None)
    if column is None or column not in known:
        raise RecipeError(
            f"{table} has no column {name!r} of answers" if name else f"{table} has no column of answers",
            expected=f"one of: {', '.join(known) or '(there are none beside the prompts)'}",
            hint="--answer NAME",
        )
    cells = [row.columns.get(column) for row in rows]
    for i, cell in enumerate(cells, 1):
        if not isinstance(cell, str):
            raise RecipeError(f"{table}, row {i}: {column} is {cell!r}", expected="the text of an answer")
    return [str(cell) for cell in cells]


def _print(found: Sequence[Score]) -> None:
    from statistics import fmean

    from rich.table import Table

    from sea_toolkit.cli.console import Console, styled
    from sea_toolkit.util.printable import printable
    from sea_toolkit.util.wording import counted

    console = Console()
    console.print(styled(counted(len(found), "answer"), "bold"))
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for title in ("mean", "lowest", "highest"):
        table.add_column(title, justify="right")
    columns = {"energy": [one.energy for one in found], "−log π per token": [one.nll_per_token for one in found]}
    for label in found[0].terms:
        is_reward = label in found[0].rewards
        name = f"reward {label}" if is_reward else f"term {label}"
        columns[name] = [(one.rewards if is_reward else one.terms)[label] for one in found]
    for name, values in columns.items():
        cells = (f"{value:.3f}" for value in (fmean(values), min(values), max(values)))
        table.add_row(printable(name, one_line=True), *cells)
    console.print(table)
    for label in found[0].limits:
        kept = sum(one.limits[label] for one in found)
        console.print(styled(f"{printable(label, one_line=True)}: kept by {kept} of {len(found)}"))
