"""`sea-toolkit train-probe`: fit a probe reward to labelled texts or preference pairs."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sea_toolkit.cli.arguments import GIVEN, PATH
from sea_toolkit.cli.command import Command
from sea_toolkit.cli.completion import POLICIES
from sea_toolkit.cli.hub_options import hub_of, trust_option
from sea_toolkit.cli.models import progress_bar
from sea_toolkit.cli.output import say_json
from sea_toolkit.cli.targets import refuse_target
from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.util.files import write_whole
from sea_toolkit.util.paths import user_path

if TYPE_CHECKING:
    from sea_toolkit.training.train import Settings, Trained

_PER_FILE = ("text", "label", "chosen", "rejected", "group", "positive", "negative", "threshold", "gap")


@click.command("train-probe", cls=Command)
@click.argument("data", nargs=-1, required=True)
@click.option("--out", required=True, type=PATH, help="The probe; its card goes beside it as .md.")
@click.option(
    "--model",
    default="smollm2-135m",
    type=GIVEN,
    show_default=True,
    shell_complete=POLICIES,
    help="Whose hidden states it reads: a language model or an encoder, by catalog name, folder or Hugging Face id.",
)
@click.option("--format", "kind", type=click.Choice(["auto", "labels", "pairs"]), default="auto", show_default=True)
@click.option("--text-column", "text", help="Labelled texts: the text.  [default: text]")
@click.option("--label-column", "label", help="Labelled texts: the label or rating.  [default: label]")
@click.option("--chosen-column", "chosen", help="Pairs: the better text.  [default: chosen]")
@click.option("--rejected-column", "rejected", help="Pairs: the worse text.  [default: rejected]")
@click.option("--group-column", "group", help="Rows with the same value (a prompt) stay in one split.")
@click.option("--positive", help="Labels of the positive class, as A or A+B.")
@click.option("--negative", help="Labels of the negative class.  [default: all others]")
@click.option("--threshold", help="Ratings above it are positive, below it negative.")
@click.option("--gap", help="Drop ratings within this distance of the threshold.")
@click.option(
    "--hidden",
    type=click.IntRange(1, 4096),
    help="Give the head a hidden layer of this width, with a GELU.  [default: a linear head]",
)
@click.option(
    "--layer",
    type=int,
    help="Train on this layer.  [default: half of a language model's layers, all of an encoder's]",
)
@click.option("--layer-search", "search", help="Try these layers, as 6,10,14; the choice is made on validation data.")
@click.option(
    "--tolerance",
    type=float,
    default=0.01,
    show_default=True,
    help="Take the earliest layer whose validation accuracy is this close to the best.",
)
@click.option("--test-fraction", type=click.FloatRange(0.01, 0.8), default=0.2, show_default=True)
@click.option("--max-rows", type=click.IntRange(1), default=5000, show_default=True, help="Of each file, at random.")
@click.option("--max-tokens", type=click.IntRange(1), default=64, show_default=True, help="Of each text.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@click.option("--device", default="auto", show_default=True)
@trust_option
@click.option("--name", type=GIVEN, help="Name of the probe.  [default: name of the file]")
@click.option("--license", "licence", default="unknown", show_default=True, help="Licence of the data.")
@click.option("--force", is_flag=True, help="Replace a probe or card that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def train_probe(ctx: click.Context, data: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Fit a reward on the hidden states of a language model or encoder to the texts in DATA.

    A probe of the policy costs part of its forward pass. One of another model, with any tokenizer, brings that model
    into a run.

    Each DATA is a .csv, .tsv or .jsonl file, also with .gz: labelled texts, or pairs of a better and a worse text.
    Settings of one file follow its name: `FILE::text=tweet,label=class,positive=0+1,rows=3000`; `all=0` gives every
    text of a file the same label. Columns of a file without a header are numbers from 1.
    """
    from sea_toolkit.training.card import card
    from sea_toolkit.training.train import Settings, train
    from sea_toolkit.util.tables import Source

    settings = Settings(
        layers=_layers(options["layer"], options["search"]),
        hidden=options["hidden"] or 0,
        **{key: options[key] for key in ("kind", "tolerance", "test_fraction", "max_rows", "max_tokens", "seed")},
    )
    out: Path = options["out"]
    card_path = out.with_suffix(".md")
    refuse_target(out, card_path, force=options["force"])
    defaults = {key: str(options[key]) for key in _PER_FILE if options[key] is not None}
    sources = [Source.parse(item, defaults) for item in data]
    trained, model = _run(ctx, train, sources, settings, options)
    probe = trained.named(options["name"] or out.stem, model, options["licence"], _command(ctx, model))
    probe.save(out)
    try:
        write_whole(card_path, card(trained, probe).encode())
    except OSError as error:
        raise ModelError(f"cannot write {card_path}: {error.strerror or error}", hint="another --out") from error
    if as_json:
        say_json(json.dumps(trained.summary() | {"probe": str(out), "card": str(card_path)}, indent=2))
    else:
        _print(trained, out)


def _run(
    ctx: click.Context, train: Any, sources: list[Any], settings: Settings, options: dict[str, Any]
) -> tuple[Trained, str]:
    """What was trained, and where a run finds the model that it reads."""
    import torch

    from sea_toolkit.lm.devices import Placement, pick_device
    from sea_toolkit.models.finder import ModelFinder
    from sea_toolkit.models.loading import load_encoder
    from sea_toolkit.models.policy_source import find_language_model
    from sea_toolkit.training.examples import read_examples

    # the data first: a mistake there is found before any weight is loaded
    examples = read_examples(sources, settings.kind, settings.max_rows, settings.seed)
    name, place = options["model"], Placement(pick_device(options["device"]), torch.float32)
    with progress_bar() as progress:
        finder = ModelFinder(hub_of(ctx), progress, options["trust_remote_code"])
        source = find_language_model(name, finder)
        model, tokenizer = load_encoder(source, place, name, trust_remote_code=options["trust_remote_code"])
        trained: Trained = train(model, tokenizer, name, examples, settings, progress)
    return trained, _reference(name, finder.find(name, "policy"), options["out"])


def _reference(name: str, found: Path | str, out: Path) -> str:
    """How a probe names its model: a folder as seen from its own, so that the two can be moved together."""
    if not isinstance(found, Path) or user_path(name, "the name of the model") != found:
        return name
    seen = os.path.relpath(found.resolve(), out.resolve().parent)
    return seen if seen.startswith(".") else f"./{seen}"


def _layers(layer: int | None, search: str | None) -> tuple[int, ...]:
    if layer is not None and search is not None:
        raise RecipeError("both --layer and --layer-search were given", expected="one of them")
    if search is None:
        return () if layer is None else (layer,)
    try:
        return tuple(sorted({int(part) for part in search.split(",")}))
    except ValueError as error:
        raise RecipeError(f"--layer-search {search}", expected="numbers with commas, as in 6,10,14") from error


def _command(ctx: click.Context, model: str) -> str:
    """What was typed, with the folders of this machine left out, for the card."""
    words = ["sea-toolkit", "train-probe"]
    for parameter in ctx.command.params:
        name, value = parameter.name or "", ctx.params[parameter.name or ""]
        if ctx.get_parameter_source(name) is not click.core.ParameterSource.COMMANDLINE or name in ("as_json", "force"):
            continue
        if value is True:
            words.append(parameter.opts[0])
        elif name == "data":
            for item in value:
                path, mark, rest = item.partition("::")
                words.append(f"DATA/{Path(path).name}{mark}{rest}")
        else:
            words += [parameter.opts[0], value.name if name == "out" else model if name == "model" else str(value)]
    return shlex.join(words)


def _print(trained: Trained, out: Path) -> None:
    from rich.table import Table

    from sea_toolkit.cli.console import Console

    console = Console()
    table = Table(box=None, pad_edge=False, title=f"{trained.description}", title_justify="left")
    stops = trained.settings.hidden > 0
    titles = ("layer", "λ", *(["epochs"] if stops else []), "validation accuracy", "AUC", "test accuracy", "AUC")
    for title in (*titles, *(["correlation"] if trained.chosen.test_correlation is not None else []), ""):
        table.add_column(title, justify="right")
    for fit in trained.fits:
        numbers = [fit.validation_accuracy, fit.validation_auc, fit.test_accuracy, fit.test_auc]
        numbers += [] if fit.test_correlation is None else [fit.test_correlation]
        mark = "← chosen" if fit is trained.chosen else ""
        epochs = [str(fit.epochs)] if stops else []
        table.add_row(str(fit.layer), f"{fit.strength:g}", *epochs, *(f"{n:.3f}" for n in numbers), mark)
    console.print(table)
    name, share = trained.baseline
    console.print(f"right on {trained.test_right:.3f} of the test rows; {name} is right on {share:.3f}")
    console.print(f"test accuracy {trained.chosen.test_accuracy:.3f} at layer {trained.chosen.layer}; wrote {out}")
