"""`sea-toolkit show`: what is in the folder of a run."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sea_toolkit.cli.arguments import PATH
from sea_toolkit.cli.command import Command
from sea_toolkit.cli.output import say, say_json

if TYPE_CHECKING:
    from sea_toolkit.runs.stored import StoredRun


@click.command(cls=Command)
@click.argument("folder", metavar="DIR", type=PATH)
@click.option("--explain", is_flag=True, help="Tell why each answer won.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def show(folder: Path, explain: bool, as_json: bool) -> None:
    """Show the run in DIR (made by `align --out DIR`): how far it is, and what it has found.

    Every file is checked; nothing is changed, and no model is loaded.
    """
    from sea_toolkit.cli.results import with_explanation
    from sea_toolkit.runs.folder import lock_name
    from sea_toolkit.runs.result import plain
    from sea_toolkit.runs.stored import StoredRun
    from sea_toolkit.util.locks import is_held, owner

    by = owner(lock_name(folder)) if is_held(lock_name(folder)) else None
    stored = StoredRun.read(folder)
    status = stored.status or ("running" if by else "stopped")
    if as_json:
        facts = {"folder": str(folder), "status": status, **_facts(stored)}
        if explain:
            facts["results"] = [with_explanation(result) for result in stored.results]
        say_json(json.dumps(plain(facts), ensure_ascii=False))
        return
    for line in _lines(stored, folder, status, by):
        say(line)
    if stored.results:
        from sea_toolkit.cli.results import print_results

        print_results(stored.results, None, explain)


def _facts(stored: StoredRun) -> dict[str, Any]:
    manifest = stored.manifest or {}
    return {
        "step": stored.step,
        **stored.length,
        "policy": stored.saved.recipe.policy.model,
        "sampler": manifest.get("sampler", stored.saved.recipe.sampler.name),
        "seed": stored.saved.recipe.seed,
        "energies": [term.label or term.name for term in stored.saved.recipe.energies] + list(stored.saved.own_terms),
        "prompts": [prompt.to_data() for prompt in stored.saved.prompts],
        "best": stored.best,
        "results": [result.to_data() for result in stored.results],
    }


def _lines(stored: StoredRun, folder: Path, status: str, by: str | None) -> list[str]:
    facts = _facts(stored)
    of = f" of {facts['steps']}" if facts["steps"] else ""
    budget = f", budget {facts['budget']:g}" if facts["budget"] else ""
    lines = [
        f"{folder}: {status}{f' ({by})' if by else ''}, {stored.step}{of} steps saved{budget}",
        f"policy {facts['policy']}, sampler {facts['sampler']}, seed {facts['seed']}, "
        f"energy {' + '.join(facts['energies'])}",
    ]
    for index, prompt in enumerate([] if stored.results else stored.saved.prompts):
        lines.append(f"prompt: {prompt}")
        if stored.best:
            best = stored.best[index]
            lines.append(f"  best so far, energy {best['energy']:.3f}: {best['text']}")
    if status in ("interrupted", "failed", "stopped") and by is None:
        lines.append("go on with: " + shlex.join(["sea-toolkit", "resume", str(folder)]))
    return lines
