"""The page of a comparison: the frontier, the table, what differs, and the answers side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sea_toolkit.reporting.page.numbers import settings, statements, table, text_of, tidy
from sea_toolkit.reporting.page.render import minus_signs, number, sections_that_fit
from sea_toolkit.reporting.plots import comparison_figure
from sea_toolkit.reporting.svg import figure_svg
from sea_toolkit.reporting.tables import caption, main_table
from sea_toolkit.reporting.word_diff import word_diff
from sea_toolkit.util.wording import counted

if TYPE_CHECKING:
    from markupsafe import Markup

Data = Mapping[str, Any]


def comparison_page(data: Data) -> str:
    """The page.

    Args:
        data: `folder`; `report`, as in `results.json`; `prompts`, plain data of each; `rows`, as in `rows.jsonl`.
    """
    report = data["report"]
    titles, rows = main_table(report)
    shown = [[row[0], *map(minus_signs, row[1:])] for row in rows]
    head = {
        "title": f"Comparison {data['folder']}",
        "finished": report["prompts"] == report["prompts_asked"],
        "facts": [
            f"policy {report['recipe']['policy']['model']}",
            counted(report["prompts"], "prompt"),
            counted(len(report["methods"]), "method"),
            f"seeds {', '.join(map(str, report['seeds']))}",
        ],
        "lines": caption(report),
        "figure": _figure(report),
        "tables": [table(titles, shown, "Each method and budget, means over prompts")] if rows else [],
        "statements": statements([p for p in report["pairs"] if p["stated"]], report["statements"]),
        "notes": report["notes"],
        **settings(report),
    }
    rows_of: dict[int, list[Data]] = {}
    for row in data["rows"]:
        rows_of.setdefault(row["prompt_index"], []).append(row)
    prompts = (_prompt(data["prompts"][p], p, rows_of[p]) for p in sorted(rows_of))
    return sections_that_fit("comparison.html", head, "texts.html", prompts, len(rows_of))


def _figure(report: Data) -> Markup | None:
    from markupsafe import Markup

    if not report["cells"]:
        return None
    title = "Rewards of each method against the budget, and against −log π per token"
    return Markup(figure_svg(dict(report), comparison_figure, title))


def _prompt(prompt: Any, p: int, rows: list[Data]) -> dict[str, Any]:
    """The answer of each method at its largest budget and its first seed, beside the base answer."""
    chosen: dict[str, Data] = {}
    for row in rows:
        best = chosen.get(row["method"])
        if best is None or (row["budget"], -row["seed"]) > (best["budget"], -best["seed"]):
            chosen[row["method"]] = row
    base = chosen.get("base")
    order = sorted(chosen.values(), key=lambda row: row["method"] != "base")
    return {
        "place": p + 1,
        "text": text_of(prompt),
        "answers": [_answer(row, base) for row in order],
    }


def _answer(row: Data, base: Data | None) -> dict[str, Any]:
    values = {**row["rewards"], **{f"judge {k}": v for k, v in row["judges"].items()}}
    values |= {"energy": row["energy"], "−log π per token": row["nll_per_token"]}
    pieces = [(row["text"], False)] if base is None or base is row else word_diff(base["text"], row["text"])[1]
    name = row["method"] if base is row else f"{row['method']}, {row['budget']:g} samples"
    return {
        "name": name,
        "numbers": [f"{label} {number(value, '.2f')}" for label, value in values.items()],
        "pieces": tidy(pieces),
        "finished": row["finished"],
    }
