"""The page of a run: what was gained, how it came about, and what it cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sea_toolkit.errors import shortened
from sea_toolkit.reporting.answers import answers_table, shared_notes
from sea_toolkit.reporting.page.numbers import HEAD, cost_cards, cost_table, table, text_of
from sea_toolkit.reporting.page.render import minus_signs, number, sections_that_fit
from sea_toolkit.reporting.page.run_figures import mean_figure
from sea_toolkit.reporting.page.run_prompt import prompt_section
from sea_toolkit.util.toml_text import document
from sea_toolkit.util.wording import counted

Data = Mapping[str, Any]

ROWS = 1000
"""Most prompts in the table of all."""


def run_page(data: Data) -> str:
    """The page.

    Args:
        data: `folder`, `status`, `step`, `length` (steps and budget), `recipe`, `manifest` (or None), `prompts` (plain
            data of each), `answers` (one per prompt, as in `result.json`, each with its `why`; none for a run that has
            not ended), `starts` and `best` (a candidate for each prompt; none before the first checkpoint), `trace`
            (its lines).
    """
    answers, count = data["answers"], len(data["prompts"])
    shared = shared_notes([answer["notes"] for answer in answers])
    head = {
        "title": f"Run {data['folder']}",
        "status": data["status"],
        "facts": _facts(data),
        "cards": _cards(data),
        "notes": shared,
        "unfinished": None if answers else _unfinished(data),
        "overview": _overview(data),
        "all_steps": None if count < 2 else mean_figure(data),
        "cost": cost_table(answers[0]["ledger"]) if answers else None,
        "recipe": document(data["recipe"]),
        "manifest": json.dumps(data["manifest"], indent=2, ensure_ascii=False) if data["manifest"] else None,
    }
    return sections_that_fit(
        "run.html", head, "prompt.html", (prompt_section(data, p, shared) for p in range(count)), count
    )


def _facts(data: Data) -> list[str]:
    manifest, length = data["manifest"] or {}, data["length"]
    of = f" of {length['steps']}" if length["steps"] else ""
    facts = [
        f"policy {data['recipe']['policy']['model']}",
        f"sampler {manifest.get('sampler', data['recipe']['sampler']['name'])}",
        f"step {data['step']}{of}" if not data["answers"] else counted(data["answers"][0]["steps"], "step"),
        *([f"budget {length['budget']:g}"] if length["budget"] else []),
        f"seed {data['recipe']['seed']}",
        counted(len(data["prompts"]), "prompt"),
    ]
    if manifest:
        identity = manifest["identity"]
        facts.append(f"{identity['dtype']} on {manifest['device']}, torch {identity['packages']['torch']}")
    return facts


def _cards(data: Data) -> list[tuple[str, str]]:
    if not data["answers"]:
        return []
    titles, rows = answers_table(data["answers"])
    gained = zip(titles[2:-1], map(minus_signs, rows[-1][2:-1]), strict=True)
    return [*gained, *cost_cards(data["answers"][0]["ledger"])]


def _unfinished(data: Data) -> dict[str, Any]:
    return {"step": data["step"], "steps": data["length"]["steps"], "folder": data["folder"], "status": data["status"]}


def _overview(data: Data) -> dict[str, Any] | None:
    """A row for each prompt, its first cell leads to the prompt's section."""
    if data["answers"]:
        titles, rows = answers_table(data["answers"])
        rows = [[*(shortened(text, HEAD) for text in row[:2]), *map(minus_signs, row[2:-1]), row[-1]] for row in rows]
        shown, last = rows[:-1][:ROWS], rows[-1]
    elif data["best"]:
        titles = ["prompt", "best so far", "energy"]
        pairs = zip(data["prompts"], data["best"], strict=True)
        rows = [
            [shortened(text_of(prompt), HEAD), shortened(best["text"], HEAD), number(best["energy"])]
            for prompt, best in pairs
        ]
        shown, last = rows[:ROWS], None
    else:
        return None
    more = len(data["prompts"]) - len(shown)
    return {**table(titles, shown, "All prompts", words=2), "last": last, "more": more}
