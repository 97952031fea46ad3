"""The plot of a comparison: each reward against the budget, and against −log π per token."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from sea_toolkit.util.run_files import write_run_file
from sea_toolkit.util.version import install_hint

HINT = f"no plot: matplotlib is not installed ({install_hint('plots')})"


def draw(data: dict[str, Any], path: Path) -> list[str]:
    """Write the plot as PNG; returns a note where matplotlib is missing."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return [HINT]
    if not data["cells"]:
        return []
    metrics = [m for m in data["cells"][0]["mean"] if ":" in m] or ["energy"]
    figure = Figure(figsize=(11, 4.2 * len(metrics)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(metrics), 2, squeeze=False)
    for (left, right), metric in zip(axes, metrics, strict=True):
        for i, label in enumerate(dict.fromkeys(c["method"] for c in data["cells"])):
            cells = [c for c in data["cells"] if c["method"] == label and _known(c, metric)]
            _line(left, right, cells, metric, label, f"C{i}")
        left.set(xscale="log", xlabel="budget (samples per prompt)", ylabel=metric.replace(":", " "))
        budgets = sorted({c["budget"] for c in data["cells"]})
        left.set_xticks(budgets, [f"{b:g}" for b in budgets])
        left.minorticks_off()
        right.set(xlabel="−log π per token (nats)", ylabel=metric.replace(":", " "))
        left.legend()
    figure.suptitle(
        f"{data['prompts']} prompts, {len(data['seeds'])} seeds; bands and bars: 95 % bootstrap", fontsize=10
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_run_file(path, buffer.getvalue())
    return []


def _known(cell: dict[str, Any], metric: str) -> bool:
    return all(cell["mean"][m]["mean"] is not None for m in (metric, "nll_per_token"))


def _line(left: Any, right: Any, cells: list[dict[str, Any]], metric: str, label: str, color: str) -> None:
    """Draw one method in both panels; the frontier's points carry their budgets."""
    rewards = [c["mean"][metric] for c in cells]
    budgets, means = [c["budget"] for c in cells], [r["mean"] for r in rewards]
    low, high = [r["low"] for r in rewards], [r["high"] for r in rewards]
    left.plot(budgets, means, marker="o", color=color, label=label)
    left.fill_between(budgets, low, high, color=color, alpha=0.15, linewidth=0)
    nll = [c["mean"]["nll_per_token"] for c in cells]
    places = [n["mean"] for n in nll]
    x_error = [[n["mean"] - n["low"] for n in nll], [n["high"] - n["mean"] for n in nll]]
    y_error = [[m - a for m, a in zip(means, low, strict=True)], [b - m for m, b in zip(means, high, strict=True)]]
    right.errorbar(places, means, xerr=x_error, yerr=y_error, marker="o", color=color, elinewidth=0.6, alpha=0.9)
    for x, y, budget in zip(places, means, budgets, strict=True):
        right.annotate(f"{budget:g}", (x, y), textcoords="offset points", xytext=(4, 4), fontsize=7, color=color)
