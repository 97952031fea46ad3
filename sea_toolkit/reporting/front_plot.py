"""The plot of a sweep over weights: the average front of each method, two objectives at a time."""

from __future__ import annotations

import itertools
from typing import Any

from sea_toolkit.reporting.plots import plain_text


def front_figure(data: dict[str, Any], figure: Any) -> None:
    """A panel for each two objectives, with the answers for each weight, and one with the hypervolumes."""
    pairs = list(itertools.combinations(data["objectives"], 2))
    columns = min(3, len(pairs) + 1)
    rows = -(-(len(pairs) + 1) // columns)
    figure.set_size_inches(4.8 * columns, 4.2 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    methods = list(data["metrics"]["hypervolume"])
    for panel, (x, y) in zip(axes, pairs, strict=False):
        for i, method in enumerate(methods):
            _front(panel, [c for c in data["cells"] if c["method"] == method], x["label"], y["label"], f"C{i}")
        panel.set(xlabel=_title(x), ylabel=_title(y))
        panel.legend(fontsize=8)
    _hypervolumes(axes[len(pairs)], data["metrics"]["hypervolume"])
    for panel in axes[len(pairs) + 1 :]:
        panel.axis("off")
    figure.suptitle(
        f"{data['prompts']} prompts, {len(data['weights'])} weights; bars: 95 % bootstrap over prompts", fontsize=10
    )


def _title(objective: dict[str, Any]) -> str:
    return plain_text(f"{objective['label']} ({objective['better']} is better)")


def _front(panel: Any, cells: list[dict[str, Any]], x: str, y: str, color: str) -> None:
    """The answers of one method: full marks on its average front, which a line joins, hollow ones beside it."""
    cells = [c for c in cells if all(c["mean"][label]["mean"] is not None for label in (x, y))]
    for cell in cells:
        a, b = cell["mean"][x], cell["mean"][y]
        panel.errorbar(
            a["mean"], b["mean"], xerr=[[a["mean"] - a["low"]], [a["high"] - a["mean"]]],
            yerr=[[b["mean"] - b["low"]], [b["high"] - b["mean"]]], marker="o", color=color, elinewidth=0.5,
            markerfacecolor=color if cell["on_front"] else "none", alpha=0.9,
        )  # fmt: skip
    front = sorted((c["mean"][x]["mean"], c["mean"][y]["mean"]) for c in cells if c["on_front"])
    if front:
        panel.plot(*zip(*front, strict=True), color=color, linewidth=1, label=plain_text(cells[0]["method"]))


def _hypervolumes(panel: Any, found: dict[str, dict[str, Any]]) -> None:
    for i, (method, mean) in enumerate(found.items()):
        error = [[mean["mean"] - mean["low"]], [mean["high"] - mean["mean"]]]
        panel.bar(plain_text(method), mean["mean"], yerr=error, color=f"C{i}", ecolor="C7", alpha=0.8)
    panel.set(ylabel="hypervolume of a prompt")
