"""What `align --dry-run` prints: the recipe as it would run, what each term says, and about what it will cost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.table import Table

from sea_toolkit.cli.console import Console, styled
from sea_toolkit.cli.output import say_json
from sea_toolkit.cli.render import live
from sea_toolkit.runs.explain import name_of
from sea_toolkit.util.printable import printable
from sea_toolkit.util.toml_text import written
from sea_toolkit.util.wording import counted

if TYPE_CHECKING:
    from sea_toolkit.registry.allowed import Allowed
    from sea_toolkit.registry.hub import PluginHub
    from sea_toolkit.runs.preview import Preview
    from sea_toolkit.runs.recipe import Recipe
    from sea_toolkit.util.conversation import Prompt


def look(hub: PluginHub, prompts: list[Prompt], recipe: Recipe, allowed: Allowed, trust: bool, as_json: bool) -> None:
    """Print what a run would be.

    Args:
        hub: the plugins.
        prompts: of the run.
        recipe: of the run.
        allowed: what its energies may do.
        trust: whether Python that comes with a model may run.
        as_json: print one JSON object and nothing else.
    """
    with live(f"loading {recipe.policy.model}") as shown:
        from sea_toolkit.runs.forecast import forecast
        from sea_toolkit.runs.preview import first_prompts, preview
        from sea_toolkit.runs.session import Session

        session = Session(hub, progress=shown.progress, trust_remote_code=trust)
        composition = session.compose(recipe, None, allowed)
        composition.prompts(prompts)  # refuses any of them; the look itself is at the first
        ahead = forecast(composition, session.finder, len(prompts))
        found = preview(composition, session.bind(composition, first_prompts(prompts)), len(prompts), ahead)
    if as_json:
        say_json(json.dumps(found.to_dict(), ensure_ascii=False, default=str))
    else:
        print_preview(found)


def print_preview(found: Preview) -> None:
    """For a person."""
    console = Console()
    recipe = found.recipe
    for key, value in recipe.items():
        for line in value if isinstance(value, list) else [value]:
            console.print(styled(f"{key:<15} {written(line)}"), soft_wrap=True)
    looked = f"{counted(found.looked_at, 'prompt')}, 4 base samples each"
    console.print(styled(f"\nterms over {looked} ({found.finished:.0%} ended by themselves)", "bold"))
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for title in ("weight", "lowest", "highest", "weighted range", "share of the energy"):
        table.add_column(title, justify="right")
    for term in found.terms:
        name = f"reward {term.label}" if term.is_reward else f"energy {name_of(term.label)}"
        numbers = (
            f"{term.weight:g}",
            f"{term.low:.3f}",
            f"{term.high:.3f}",
            f"{term.nats:.1f} nats",
            f"{term.share:.0%}",
        )
        table.add_row(printable(name, one_line=True), *numbers)
    console.print(table)
    console.print(
        styled(
            f"would spend {found.samples:.3g} samples per prompt on {counted(found.prompts, 'prompt')}: about "
            f"{found.seconds:.0f} s beside loading, "
            f"at least {found.memory_mb:.0f} MB"
        )
    )
    for note in dict.fromkeys(found.notes):
        console.print(styled(f"note: {note}", "yellow"))
