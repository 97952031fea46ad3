"""The page of a sweep over weights: the front, its numbers, and each prompt's answers on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sea_toolkit.reporting.front_plot import front_figure
from sea_toolkit.reporting.front_tables import front_caption, front_table, methods_table
from sea_toolkit.reporting.page.numbers import settings, statements, table
from sea_toolkit.reporting.page.render import minus_signs, number, sections_that_fit
from sea_toolkit.reporting.svg import figure_svg
from sea_toolkit.util.wording import counted

if TYPE_CHECKING:
    from markupsafe import Markup

Data = dict[str, Any]


def front_page(data: Data) -> str:
    """The page.

    Args:
        data: `folder`, and `report`, as in `results.json`.
    """
    report = data["report"]
    head = {
        "title": f"Front {data['folder']}",
        "finished": report["status"] == "done" and report["prompts"] == report["prompts_asked"],
        "facts": [
            f"policy {report['recipe']['policy']['model']}",
            counted(report["prompts"], "prompt"),
            counted(len(report["weights"]), "weight"),
            *(f"{o['label']}: {o['better']} is better" for o in report["objectives"]),
        ],
        "lines": front_caption(report),
        "figure": _figure(report),
        "tables": _tables(report) if report["cells"] else [],
        "statements": statements(report["differences"], report["statements"]),
        "notes": report["notes"],
        **settings(report),
    }
    prompts = [_prompt(front, p, report) for p, front in enumerate(report["fronts"], 1)]
    return sections_that_fit("front.html", head, "front_texts.html", prompts, len(prompts))


def _tables(report: Data) -> list[dict[str, Any]]:
    found = []
    captions = ("Each method's front as a whole", "The answers for each weight; a star: no other weight is better")
    for (titles, rows), said in zip((methods_table(report), front_table(report)), captions, strict=True):
        found.append(table(titles, [[row[0], *map(minus_signs, row[1:])] for row in rows], said))
    return found


def _figure(report: Data) -> Markup | None:
    from markupsafe import Markup

    if not report["cells"]:
        return None
    labels = " and ".join(o["label"] for o in report["objectives"])
    return Markup(figure_svg(report, front_figure, f"The front of {labels} for each method, mean over prompts"))


def _prompt(front: Data, place: int, report: Data) -> dict[str, Any]:
    labels = [o["label"] for o in report["objectives"]]
    rows = [
        [one["text"], *(number(one["values"][label], ".3g") for label in labels), one["where"]]
        for one in front["texts"]
    ]
    said = f"{counted(len(rows), 'text')} of {front['met']:,} that were met: no other is better in everything"
    return {
        "place": place,
        "text": front["prompt"],
        "table": table(["text", *labels, "met under"], rows, said),
    }
