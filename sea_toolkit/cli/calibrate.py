"""`sea-toolkit calibrate`: what one unit of each reward is worth among the policy's own answers, kept in the recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sea_toolkit.cli.arguments import GIVEN, PATH
from sea_toolkit.cli.command import Command
from sea_toolkit.cli.hub_options import code_option, network_option, trust_option, with_hub
from sea_toolkit.cli.output import say_json
from sea_toolkit.cli.prompt_sources import asked_prompts
from sea_toolkit.cli.shared_options import prompt_options

if TYPE_CHECKING:
    from sea_toolkit.evaluation.calibrate import Calibration
    from sea_toolkit.registry.hub import PluginHub


@click.command(cls=Command)
@click.argument("recipe", metavar="RECIPE", type=PATH)
@click.argument("prompts", metavar="PROMPTS", type=PATH)
@click.option(
    "--samples", type=click.IntRange(2), default=16, show_default=True, help="Answers of the policy to each prompt."
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of these answers.")
@prompt_options
@click.option("--device", type=GIVEN, help="auto, cpu, cuda, cuda:1, mps.")
@trust_option
@code_option
@network_option
@click.option("--out", metavar="FILE", type=PATH, help="Write the recipe here.  [default: RECIPE itself]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
@with_hub
def calibrate(
    hub: PluginHub,
    recipe: Path,
    prompts: Path,
    samples: int,
    seed: int,
    column: str | None,
    skip: int,
    limit: int | None,
    device: str | None,
    allow_code: tuple[str, ...],
    allow_network: tuple[str, ...],
    trust_remote_code: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure the terms of RECIPE on the policy's own answers to PROMPTS, and keep the numbers in the recipe.

    A term with `scale = "base-std"` is divided by its standard deviation over the answers to a prompt, so that weight 1
    means the same for every reward. A term with `want = 0.8` gets the weight under which the mean of aligned answers is
    as good as the answer that is better than 80 % of the policy's own. The numbers go into the table [calibration];
    all else in the file stays as it is.
    """
    from sea_toolkit.util.prompts import choose

    texts = choose(asked_prompts((), str(prompts), column, None), skip=skip, limit=limit)
    from sea_toolkit.cli.render import live
    from sea_toolkit.runs.recipe import Recipe
    from sea_toolkit.runs.recipe_file import refuse_unwritable, write_calibration

    chosen, target = Recipe.load(recipe), out or recipe
    refuse_unwritable(target)
    with live(f"loading {chosen.policy.model}") as shown:
        from sea_toolkit.evaluation.calibrate import calibrate as run

        found = run(
            texts, recipe=chosen, samples=samples, seed=seed, device=device, allow_code=allow_code,
            allow_network=allow_network, trust_remote_code=trust_remote_code, hub=hub, progress=shown.progress,
        )  # fmt: skip
    if found.table is not None:
        write_calibration(recipe, found.table, target)
    if as_json:
        say_json(json.dumps(found.to_dict(), ensure_ascii=False))
    else:
        _print(found, target)


def _print(found: Calibration, target: Path) -> None:
    from rich.table import Table

    from sea_toolkit.cli.console import Console, styled
    from sea_toolkit.runs.explain import name_of
    from sea_toolkit.util.printable import printable

    console = Console()
    answers = f"{found.samples} base answers to each of {found.prompts} prompts"
    console.print(styled(f"terms over {answers}", "bold"))
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for title in ("mean", "std", "5 % … 95 %", "weight", "scale", "share"):
        table.add_column(title, justify="right")
    for term in found.terms:
        name = f"reward {term.label}" if term.is_reward else f"energy {name_of(term.label)}"
        mean, deviation, low, high, weight, scale = (
            f"{x:.3g}"
            for x in (term.mean, term.deviation, *(term.quantiles[q] for q in (0.05, 0.95)), term.weight, term.scale)
        )
        cells = (mean, deviation, f"{low} … {high}", weight, scale, f"{term.share:.0%}")
        table.add_row(printable(name, one_line=True), *cells)
    console.print(table)
    console.print(styled("std: of the answers to a prompt, pooled; share: of all |weight| / scale · std", "dim"))
    if found.effective is not None:
        targets = ", ".join(f"{t.label} to its quantile {t.want:g}" for t in found.terms if t.want is not None)
        console.print(styled(f"the weights lead {targets}; {found.effective:.1f} answers per prompt count for that"))
    for note in found.notes:
        console.print(styled(f"note: {note}", "yellow"))
    if found.table is None:
        console.print(styled('no term asks for a number (scale = "base-std", or want = 0.8): nothing was written'))
    else:
        console.print(styled(f"wrote the table [calibration] of {target}"))
