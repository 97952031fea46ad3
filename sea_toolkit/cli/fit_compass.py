"""`sea-toolkit fit-compass`: find out once which words an energy likes, for runs that begin with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sea_toolkit.cli.arguments import GIVEN, PATH, assignment, energy_term, reward_term, servers_in
from sea_toolkit.cli.command import Command
from sea_toolkit.cli.hub_options import code_option, network_option, trust_option, with_hub
from sea_toolkit.cli.output import say, say_json
from sea_toolkit.cli.prompt_sources import asked_prompts
from sea_toolkit.cli.shared_options import policy_options, prompt_options, recipe_options, term_options
from sea_toolkit.cli.targets import refuse_target

if TYPE_CHECKING:
    from sea_toolkit.evaluation.fit_compass import FittedCompass
    from sea_toolkit.registry.hub import PluginHub


@click.command("fit-compass", cls=Command)
@click.argument("prompts", metavar="PROMPTS", type=GIVEN)
@term_options
@recipe_options
@click.option("--out", metavar="FILE", required=True, type=PATH, help="The compass, a .safetensors file.")
@click.option(
    "--words",
    metavar="N",
    type=click.IntRange(1),
    help="Score the N tokens that the policy writes most by themselves; takes no gradient.",
)
@click.option(
    "--samples", type=click.IntRange(1), default=8, show_default=True, help="Answers of the policy to each prompt."
)
@prompt_options
@policy_options
@click.option("--max-new-tokens", type=click.IntRange(1), help="Of an answer.  [default: 48]")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Of the answers.  [default: 0]")
@trust_option
@code_option
@network_option
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
@with_hub
def fit_compass(
    hub: PluginHub,
    prompts: str,
    rewards: tuple[str, ...],
    energies: tuple[str, ...],
    recipe: str | dict[str, Any] | None,
    overrides: tuple[str, ...],
    out: Path,
    words: int | None,
    samples: int,
    column: str | None,
    skip: int,
    limit: int | None,
    allow_code: tuple[str, ...],
    allow_network: tuple[str, ...],
    trust_remote_code: bool,
    force: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Find out which of the policy's words a reward likes, on its answers to PROMPTS, and keep that in a file.

    A run whose recipe names the file (`compass = "FILE"` beside the reward) is tilted from its first answer on. The
    compass is the mean gradient of the reward; with --words it is what the reward says of single words, for rewards
    that only score text. It is of this reward and this policy's tokens, and of no other.
    """
    from sea_toolkit.util.prompts import choose

    refuse_target(out, force=force)
    texts = choose(asked_prompts((), prompts, column, None), skip=skip, limit=limit)
    from sea_toolkit.cli.render import live
    from sea_toolkit.evaluation.word_compass import calls_for_words
    from sea_toolkit.runs.overrides import build_recipe

    terms = [*map(reward_term, rewards), *map(energy_term, energies)]
    chosen = build_recipe(recipe, None, flags, terms=terms, assignments=map(assignment, overrides), hub=hub)
    if words is not None:
        say(f"the energy will be asked about at most {calls_for_words(words, len(texts))} texts", err=True)
    with live(f"loading {chosen.policy.model}") as shown:
        from sea_toolkit.evaluation.fit_compass import fit_compass as run

        found = run(
            texts, recipe=chosen, words=words, samples=samples, seed=chosen.seed, allow_code=allow_code,
            allow_network=(*allow_network, *servers_in(terms)), trust_remote_code=trust_remote_code, hub=hub,
            progress=shown.progress,
        )  # fmt: skip
    found.save(out)
    if as_json:
        say_json(json.dumps(found.to_dict() | {"compass": str(out)}, ensure_ascii=False))
    else:
        _print(found, out)


def _print(found: FittedCompass, out: Path) -> None:
    info = found.info
    how = "single words" if info.source == "words" else f"gradients of {info.count:.0f} answers"
    say(f"compass of {info.label}: {how}, {info.prompts} prompts, {info.policy}")
    say(f"lower the energy: {', '.join(found.favored)}")
    say(f"raise it: {', '.join(found.disfavored)}")
    if found.agreement is not None:
        say(f"rank correlation of single words with what they do in a text: {found.agreement:.2f}")
    say(f"wrote {out}; a recipe names it as compass = {json.dumps(str(out))} beside the reward")
