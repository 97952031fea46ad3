"""`sea-toolkit reward check`: what a reward is shown, where it is read, and what it says."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from sea_toolkit.cli.arguments import GIVEN, checked_reward, servers_in
from sea_toolkit.cli.command import Group
from sea_toolkit.cli.completion import POLICIES, REWARDS
from sea_toolkit.cli.hub_options import code_option, hub_of, network_option, trust_option
from sea_toolkit.cli.models import progress_bar
from sea_toolkit.cli.output import say_json
from sea_toolkit.registry.allowed import Allowed

if TYPE_CHECKING:
    from rich.table import Table

    from sea_toolkit.evaluation.reward_check import CheckedAnswer, RewardCheck, Token


@click.group(cls=Group)
def reward() -> None:
    """Rewards: look at what one reads, and what it says."""


@reward.command("check")
@click.argument("name", metavar="NAME[,OPTION=VALUE]…", shell_complete=REWARDS)
@click.argument("prompt")
@click.argument("answers", nargs=-1, required=True)
@click.option(
    "--model",
    "policy",
    default="smollm2-135m",
    type=GIVEN,
    show_default=True,
    shell_complete=POLICIES,
    help="The policy, for a reward that needs one: an energy of a plugin, a function.",
)
@code_option
@network_option
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.pass_context
def check(
    ctx: click.Context,
    name: str,
    prompt: str,
    answers: tuple[str, ...],
    policy: str,
    allow_code: tuple[str, ...],
    allow_network: tuple[str, ...],
    trust_remote_code: bool,
    as_json: bool,
) -> None:
    """Show what the reward NAME reads of PROMPT and ANSWERS, token by token, and what it says of each.

    NAME is what stands after `--reward`: a name of the catalog, a probe, a folder, a Hugging Face id, a URL, with its
    options; or an energy with a model of its own, as in `process-reward,model=FOLDER`.

    Beside each output stands what transformers' own forward pass gives for the same text; where the two differ, the
    exit code is 1.
    """
    from sea_toolkit.evaluation.reward_check import check_reward
    from sea_toolkit.models.finder import ModelFinder

    term = checked_reward(name)
    allowed = Allowed(allow_code, (*allow_network, *servers_in([term])))
    with progress_bar() as progress:
        finder = ModelFinder(hub_of(ctx), progress, trust_remote_code)
        found = check_reward(term, prompt, answers, finder, policy=policy, allowed=allowed)
    if as_json:
        from sea_toolkit.runs.result import plain

        say_json(json.dumps(plain(asdict(found) | {"agrees": found.agrees}), ensure_ascii=False))
    else:
        _print(found)
    if found.agrees is False:
        ctx.exit(1)


def _print(found: RewardCheck) -> None:
    from sea_toolkit.cli.console import Console

    console = Console()
    console.print(f"{found.name}: {found.kind}, reads {found.reads}", markup=False)
    for number, answer in enumerate(found.answers, 1):
        console.print(f"\nanswer {number}: {answer.answer}", markup=False)
        for title, tokens in _runs(answer.tokens):
            console.print(f"  {title:>7}  {' '.join(map(_word, tokens))}", markup=False)
        if answer.tokens:
            console.print(f"  read at  {_places(answer.tokens)}", markup=False)
        if answer.outputs:
            console.print(_table(answer))
        console.print(f"   reward  {answer.reward:.4f}", markup=False)
    console.print("")
    if found.note:
        console.print(found.note, markup=False)
    if found.agrees is not None:
        words = "as transformers' own forward pass" if found.agrees else "NOT as transformers' own forward pass"
        console.print(f"outputs are {words} on the same texts", markup=False)


def _runs(tokens: list[Token]) -> list[tuple[str, list[Token]]]:
    """Tokens side by side that are of the answer, or are not."""
    runs: list[tuple[str, list[Token]]] = []
    for token in tokens:
        title = "answer" if token.in_answer else "around"
        if not runs or runs[-1][0] != title:
            runs.append((title, []))
        runs[-1][1].append(token)
    return runs


def _word(token: Token) -> str:
    from sea_toolkit.util.printable import printable

    return printable(token.text).replace("\n", "\\n")


def _places(tokens: list[Token]) -> str:
    """Where the head reads, in words."""
    if tokens[0].is_read is None:
        return "not known: the blocks of this architecture are not understood"
    places = [i for i, token in enumerate(tokens) if token.is_read]
    if not places:
        return "no token"
    if len(places) == len(tokens):
        return f"all {len(tokens)} tokens"
    if len(places) > 2:
        return f"{len(places)} of {len(tokens)} tokens, from {places[0] + 1} to {places[-1] + 1}"
    return ", ".join(f"token {i + 1} of {len(tokens)}, {_word(tokens[i])}" for i in places)


def _table(answer: CheckedAnswer) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("  output")
    table.add_column("here", justify="right")
    if answer.transformers is not None:
        table.add_column("transformers", justify="right")
    for label, value in answer.outputs.items():
        theirs = [] if answer.transformers is None else [f"{answer.transformers[label]:.4f}"]
        table.add_row(f"  {label}", f"{value:.4f}", *theirs)
    return table
