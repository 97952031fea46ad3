"""`sea-toolkit align`: answer prompts, better."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from sea_toolkit.cli.group import INTERRUPTED, code_option, with_hub
from sea_toolkit.errors import RecipeError
from sea_toolkit.models.policy_spec import Attention

if TYPE_CHECKING:
    from sea_toolkit.registry.hub import PluginHub


@click.command()
@click.argument("prompts", nargs=-1)
@click.option("--prompts", "file", metavar="FILE", help="Prompts from a file, one a line; - reads standard input.")
@click.option("--reward", "rewards", multiple=True, metavar="NAME[=WEIGHT]", help="A reward model and its weight.")
@click.option("--energy", "energies", multiple=True, metavar="NAME[=WEIGHT][,OPTION=VALUE]…", help="Another energy.")
@click.option("--sampler", metavar="NAME", help="Sampler; by default the best one that the energies allow.")
@click.option("--chains", type=int, help="Chains per prompt.")
@click.option("--steps", type=int, help="Steps to take.")
@click.option("--budget", type=float, help="Compute to spend per prompt instead, in base samples.")
@click.option("--max-new-tokens", type=int, help="Length of an answer in tokens, at most.  [default: 48]")
@click.option("--seed", type=int, help="Seed of all randomness.  [default: 0]")
@click.option("--recipe", metavar="FILE", help="A recipe (TOML); the options here override it.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a recipe key: sampler.step_size=0.2"
)
@click.option("--rewrite", type=int, metavar="N", help="Let N rewrites by the policy compete with the answer.")
@click.option("--draft", metavar="TEXT", help="Improve this text instead of the policy's own samples.")
@click.option("--model", metavar="NAME", help="The policy: a catalog name, a folder or a Hugging Face id.")
@click.option("--template", type=click.Choice(["auto", "chat", "plain"]), help="How a prompt is put to the policy.")
@click.option("--device", help="auto, cpu, cuda, cuda:1, mps.")
@click.option("--dtype", type=click.Choice(["auto", "float32", "bfloat16", "float16"]), help="Weights and activations.")
@click.option("--attention", type=click.Choice(get_args(Attention)), help="How the model computes attention.")
@click.option("--trust-remote-code", is_flag=True, default=None, help="Run code that comes with the model.")
@code_option
@click.option("--out", metavar="DIR", help="Write recipe, trace, checkpoints and result to this folder.")
@click.option(
    "--checkpoint-every", type=click.IntRange(min=1), default=10, show_default=True, help="Steps between checkpoints."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else: one object per prompt.")
@with_hub
def align(
    hub: PluginHub,
    prompts: tuple[str, ...],
    file: str | None,
    rewards: tuple[str, ...],
    energies: tuple[str, ...],
    recipe: str | None,
    settings: tuple[str, ...],
    allow_code: tuple[str, ...],
    out: str | None,
    checkpoint_every: int,
    as_json: bool,
    **flags: Any,
) -> None:
    """Move the policy's answers to PROMPTS towards higher reward, and show what was gained.

    Without PROMPTS, they are read from --prompts FILE or from standard input, one a line.
    """
    texts = _prompts(prompts, file)
    from sea_toolkit.api import align as run
    from sea_toolkit.runs.overrides import build_recipe
    from sea_toolkit.runs.recipe import Recipe

    base = Recipe.load(recipe) if recipe else Recipe()
    data = build_recipe(base, dict(map(_weighted, rewards)), flags, own_terms=bool(energies)).model_dump(
        exclude_unset=True
    )
    data["energies"] = [*data.get("energies", []), *map(_energy, energies)]
    for setting in settings:
        _override(data, setting)
    chosen = Recipe.parse(data)

    def start(on_event: Callable[..., None], progress: Callable[..., None]) -> Any:
        return run(
            texts,
            recipe=chosen,
            allow_code=allow_code,
            out=out,
            hub=hub,
            checkpoint_every=checkpoint_every,
            on_event=on_event,
            progress=progress,
        )

    show(start, as_json, out)


def show(start: Callable[[Any, Any], Any], as_json: bool, out: str | None) -> None:
    """Run with a live line on stderr, print the results, and exit with 130 after Ctrl-C."""
    from sea_toolkit.cli.render import live, print_results
    from sea_toolkit.runs.result import Interrupted

    interrupted = False
    with live() as (on_event, progress):
        try:
            results = start(on_event, progress)
        except Interrupted as stop:
            results, interrupted = stop.results, True
    if as_json:
        for result in results:
            click.echo(result.to_json())
    else:
        print_results(results, out)
    if interrupted:
        where = f"; go on with: sea-toolkit resume {out}" if out else ""
        click.echo(f"interrupted: this is the best so far{where}", err=True)
        sys.exit(INTERRUPTED)


def _prompts(given: tuple[str, ...], file: str | None) -> list[str]:
    if given and file:
        raise RecipeError("prompts on the command line and --prompts", expected="one of them")
    if given:
        return list(given)
    if file is None and sys.stdin.isatty():
        raise RecipeError("there is no prompt", expected='sea-toolkit align "Write …" --reward sentiment=8')
    try:
        text = sys.stdin.read() if file in (None, "-") else Path(str(file)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read the prompts from {file}: {error}") from error
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise RecipeError(f"{'standard input' if file in (None, '-') else file} has no prompts", expected="one a line")
    return lines


def _weighted(text: str) -> tuple[str, float]:
    """`name=2` → ("name", 2.0); the weight is 1 if there is none."""
    name, equals, weight = text.rpartition("=")
    if not equals:
        return text, 1.0
    try:
        return name, float(weight)
    except ValueError:
        raise RecipeError(f"the weight of {name!r} is {weight!r}", expected="a number, as in sentiment=8") from None


def _energy(text: str) -> dict[str, Any]:
    """`length=0.5,target=40` → a term of the recipe."""
    head, *options = text.split(",")
    name, weight = _weighted(head)
    term: dict[str, Any] = {"name": name, "weight": weight}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise RecipeError(f"--energy {text}: {option!r} is no option", expected="OPTION=VALUE, as in target=40")
        term[key.strip()] = _value(value)
    return term


def _value(text: str) -> Any:
    """A TOML value, else the text itself."""
    from sea_toolkit.runs.recipe import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _override(data: dict[str, Any], setting: str) -> None:
    """Lay one `key.key=value` over the recipe's data; the value is TOML, else a string."""
    path, equals, text = setting.partition("=")
    if not equals:
        raise RecipeError(f"--set {setting}", expected="KEY=VALUE, as in sampler.step_size=0.2")
    value = _value(text)
    *parents, last = path.split(".")
    place: Any = data
    for key in parents:
        place = (
            place[int(key)]
            if isinstance(place, list) and key.isdigit() and int(key) < len(place)
            else (place.setdefault(key, {}) if isinstance(place, dict) else None)
        )
        if not isinstance(place, dict | list):
            raise RecipeError(
                f"--set {setting}: {key!r} holds no keys", hint="as in sampler.step_size or energies.0.weight"
            )
    if isinstance(place, dict):
        place[last] = value
    elif last.isdigit() and int(last) < len(place):
        place[int(last)] = value
    else:
        raise RecipeError(f"--set {setting}: there is no entry {last!r}", expected=f"0 to {len(place) - 1}")
