"""`sea-toolkit bridge`: how well a reward with a tokenizer of its own leads a policy."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from sea_toolkit.cli.arguments import GIVEN
from sea_toolkit.cli.command import Command
from sea_toolkit.cli.completion import POLICIES, REWARDS
from sea_toolkit.cli.hub_options import hub_of, trust_option
from sea_toolkit.cli.models import progress_bar
from sea_toolkit.cli.output import say, say_json
from sea_toolkit.errors import RecipeError

if TYPE_CHECKING:
    from sea_toolkit.lm.policy import Policy
    from sea_toolkit.models.finder import ModelFinder
    from sea_toolkit.readers.bridge import Bridge
    from sea_toolkit.readers.sequence_classifier import ClassifierReader


@click.command("bridge", cls=Command)
@click.argument("policy", type=GIVEN, shell_complete=POLICIES)
@click.argument("reward", type=GIVEN, shell_complete=REWARDS)
@click.option(
    "--reads",
    type=click.Choice(["auto", "response", "prompt+response", "chat", "pair"]),
    default="auto",
    show_default=True,
    help="What the reward is shown, as in its recipe.",
)
@click.option("--prompts", type=GIVEN, metavar="FILE", help="Measure on answers to these prompts; nothing is kept.")
@click.option("--column", type=GIVEN, help="The column of the prompts, in a table.")
@click.option("--again", is_flag=True, help="Measure again, and replace what is kept.")
@click.option("--device", default="auto", show_default=True)
@click.option("--dtype", default="auto", show_default=True)
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.pass_context
def bridge(ctx: click.Context, policy: str, reward: str, as_json: bool, **options: Any) -> None:
    """Measure how the classifier REWARD leads the words of POLICY, though its tokenizer is another one.

    It is measured once for each pair and kept in the cache, where `align` finds it. Where that takes a few minutes at
    most, `align` does it by itself. A classifier that takes no embeddings (T5) gets a gradient only so: that of the
    scores of single words.
    """
    from sea_toolkit.models.finder import ModelFinder

    with progress_bar() as progress:
        finder = ModelFinder(hub_of(ctx), progress, options["trust_remote_code"])
        model, reader = _load(policy, reward, finder, options)
        made = _made(reader, model, finder, options)
    facts = _facts(made, reader, reward, policy)
    if as_json:
        say_json(json.dumps(facts, ensure_ascii=False, indent=2))
        return
    _print(facts)


def _load(policy: str, reward: str, finder: ModelFinder, options: dict[str, Any]) -> tuple[Policy, ClassifierReader]:
    """Both models.

    Raises:
        ModelError: one of them is not there, or is no such model.
        RecipeError: they have the same tokens.
    """
    from sea_toolkit.energies.reward import Reward
    from sea_toolkit.lm.devices import Placement
    from sea_toolkit.lm.fingerprint import same_vocabulary
    from sea_toolkit.models.loading import load_policy
    from sea_toolkit.models.policy_spec import PolicySpec

    energy = Reward(model=reward, reads=options["reads"])
    model = load_policy(PolicySpec(model=policy, device=options["device"], dtype=options["dtype"]), finder)
    reader = energy.reader(finder, Placement.beside(model, None, None))
    if reader is None:
        raise RecipeError(f"{reward} compares answers", expected="a reward that scores single answers")
    if reader.ids_only is None and same_vocabulary(reader.shown.tokenizer, model.tokenizer):
        raise RecipeError(
            f"{reward} has the tokens of {policy}",
            expected="a sequence classifier with a tokenizer of its own",
            hint="nothing is to be done: it needs no bridge",
        )
    return model, reader


def _made(reader: ClassifierReader, policy: Policy, finder: ModelFinder, options: dict[str, Any]) -> Bridge:
    from sea_toolkit.readers.bridge import plain_bridge
    from sea_toolkit.readers.bridge_file import read_bridge
    from sea_toolkit.readers.bridge_samples import PROMPTS
    from sea_toolkit.readers.make_bridge import measured_bridge
    from sea_toolkit.util.prompts import read_prompts

    file, column = options["prompts"], options["column"]
    if column is not None and file is None:
        raise RecipeError(f"--column {column} without --prompts", expected="--prompts FILE, a table")
    prompts = PROMPTS if file is None else read_prompts(file, column)
    kept = None if options["again"] or file is not None else read_bridge(reader, policy)
    return measured_bridge(reader, policy, plain_bridge(reader, policy), finder, prompts) if kept is None else kept


def _facts(bridge: Bridge, reader: ClassifierReader, reward: str, policy: str) -> dict[str, Any]:
    measured = bridge.measured
    assert measured is not None
    names = ("one piece", "several pieces", "none")
    labels = {int(index): str(label) for index, label in reader.model.config.id2label.items()}
    return {
        "policy": policy,
        "reward": reward,
        "reads": reader.shown.reads,
        "tokens": len(bridge.pieces.pieces),
        "vocabulary": dict(zip(names, bridge.pieces.shares, strict=True)),
        "probability": dict(zip(names, measured.probability, strict=True)),
        "fidelity": {labels.get(i, str(i)): asdict(fidelity) for i, fidelity in enumerate(measured.fidelity)},
        "gradient_weight": measured.prior.gradient_weight.tolist(),
        "word_weight": measured.prior.word_weight.tolist(),
    }


def _print(facts: dict[str, Any]) -> None:
    from rich.table import Table

    from sea_toolkit.cli.console import Console

    console = Console()
    shares = Table(box=None, pad_edge=False)
    shares.add_column(f"each of the policy's {facts['tokens']} tokens is, for the reward,")
    for title in ("of the vocabulary", "of the policy's probability"):
        shares.add_column(title, justify="right")
    for name in facts["vocabulary"]:
        shares.add_row(name, *(f"{facts[kind][name]:.1%}" for kind in ("vocabulary", "probability")))
    console.print(shares)
    for label, fidelity in facts["fidelity"].items():
        say("")
        table = Table(box=None, pad_edge=False)
        output = f" ({label})" if len(facts["fidelity"]) > 1 else ""
        table.add_column(f"rank correlation with what a token does{output}")
        for title in ("all tokens", "of several pieces"):
            table.add_column(title, justify="right")
        for key, name in (("gradient", "gradient"), ("words", "single words"), ("mixture", "both, mixed")):
            several = fidelity["several"]
            table.add_row(name, f"{fidelity['all'][key]:.2f}", "–" if several is None else f"{several[key]:.2f}")
        table.add_row("gradient on the reward's own tokens", f"{fidelity['ceiling']:.2f}", "")
        console.print(table)
