"""The report as tables: Markdown for a file, and the same cells for a terminal."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any

from sea_toolkit.util.printable import printable

FEWEST = 6
"""Fewest prompts for which a difference is reported: with fewer, all signs agree by chance in over 5 % of cases."""

Table = tuple[list[str], list[list[str]]]
"""Titles and rows."""


def main_table(data: dict[str, Any]) -> Table:
    """A row per method and budget; means with their 95 % intervals."""
    metrics = [m for m in (data["cells"][0]["mean"] if data["cells"] else {}) if m != "energy"]
    heads = list(map(title_of, metrics))
    titles = [
        "method",
        "budget",
        *heads,
        "distinct-2",
        "unfinished",
        "tokens",
        "samples",
        "s per prompt",
        "MB",
        "accepted",
    ]
    rows = []
    for cell in data["cells"]:
        numbers = [interval(cell["mean"][m]) for m in metrics]
        rest = [
            plain(cell["distinct_2"], ".3f"),
            plain(cell["unfinished"], ".0%"),
            plain(cell["tokens"], ".1f"),
            plain(cell["samples"], ".1f"),
            plain(cell["seconds_per_prompt"], ".2f"),
            plain(cell["peak_memory_mb"], ".0f"),
            plain(cell["acceptance"], ".2f"),
        ]
        budget = f"{cell['budget']:g}" + (" (!)" if cell["unequal"] else "")
        rows.append([cell["method"], budget, *numbers, *rest])
    return titles, rows


def title_of(metric: str) -> str:
    """A metric as a person reads it."""
    names = {
        "nll_per_token": "−log π per token",
        "distinct_2_within": "distinct-2 within",
        "limits_kept": "limits kept",
    }
    return names.get(metric, metric.replace(":", " "))


def interval(entry: dict[str, Any]) -> str:
    """`4.75 [4.10, 5.38]`."""
    if entry["mean"] is None:
        return "–"
    return f"{entry['mean']:.2f} [{entry['low']:.2f}, {entry['high']:.2f}]"


def plain(value: float | None, form: str) -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None else format(value, form)


def caption(data: dict[str, Any]) -> list[str]:
    """How to read the table, in full sentences."""
    n, asked = data["prompts"], data["prompts_asked"]
    covered = f"{n} prompts" if n == asked else f"the first {n} of {asked} prompts (not finished)"
    lines = [
        f"Over {covered}, seeds {', '.join(map(str, data['seeds']))}, at most {data['recipe']['max_new_tokens']} new "
        f"tokens, {data['batch']} prompts in flight. The answer is {data['choice']}.",
        f"In brackets: 95 % percentile bootstrap over prompts, seeds averaged within a prompt first, "
        f"{data['bootstrap']['resamples']} resamples. Budgets and samples are per prompt.",
    ]
    if any(cell["unequal"] for cell in data["cells"]):
        lines.append("A budget with (!) was not kept, or paid for no step: see the notes; there is no verdict on it.")
    if n < FEWEST:
        lines.append(f"With fewer than {FEWEST} prompts no difference is called one.")
    if data["judges"]:
        lines.append("Judges read the chosen texts alone; they are in no energy and not in the samples.")
    return lines


def markdown(data: dict[str, Any]) -> str:
    """The whole report."""
    said = "Differences on the same prompts, with paired 95 % intervals (one by one, not jointly):"
    return page(caption(data), data, [main_table(data)] if data["cells"] else [], said)


def page(lines: Sequence[str], data: dict[str, Any], tables: Sequence[Table], said: str) -> str:
    """A page of Markdown.

    Args:
        lines: at its top, a paragraph each.
        data: its `command`, `statements` and `notes` are used.
        tables: the first column of each holds words, the others numbers.
        said: the line above the statements.
    """
    text = [f"{_inline(line)}\n" for line in lines]
    if data.get("command"):
        command = printable(data["command"])
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", command)), default=0))  # longer than any in the command
        text.append(f"{fence}text\n{command}\n{fence}\n")
    for titles, rows in tables:
        right = ["---"] + ["--:"] * (len(titles) - 1)
        text += [_line(titles), _line(right), *map(_line, rows), ""]
    if data["statements"]:
        text += [f"{said}\n", *(f"- {_inline(statement)}" for statement in data["statements"]), ""]
    text += [f"- note: {_inline(note)}" for note in data["notes"]]
    return "\n".join(text).rstrip() + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(_inline(cell).replace("|", "\\|") for cell in cells) + " |"


def _inline(text: str) -> str:
    """Text of others within a line of Markdown: no tag, no link, no control character."""
    return html.escape(printable(text, one_line=True), quote=False).replace("](", "]\\(")
