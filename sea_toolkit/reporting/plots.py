"""Plots of reports; that of a comparison: each reward against the budget, and against −log π per token."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sea_toolkit.errors import SeaError
from sea_toolkit.reporting.tables import title_of
from sea_toolkit.util.printable import printable
from sea_toolkit.util.run_files import write_run_file
from sea_toolkit.util.version import install_hint

HINT = f"no plot: matplotlib is not installed ({install_hint('plots')})"


Paint = Callable[[dict[str, Any], Any], None]
"""`paint(data, figure)` draws a report on a figure of matplotlib."""


def draw(data: dict[str, Any], path: Path, paint: Paint | None = None) -> list[str]:
    """Write the plot, in the format of the file's ending; returns a note where there is none: matplotlib is missing, or
    fails.

    Args:
        data: of a report.
        path: of the file.
        paint: what is drawn; the figure of a comparison if None.
    """
    try:
        import matplotlib as _  # noqa: F401
    except ImportError:
        return [HINT]
    try:
        if data["cells"]:
            write_run_file(path, image(data, path.suffix.lstrip(".").lower(), paint or comparison_figure))
    except SeaError:
        raise
    except Exception as error:  # a plot is an extra: what it shows is in the table
        return [f"no plot: {type(error).__name__}: {error}"]
    return []


def image(data: dict[str, Any], kind: str, paint: Paint, style: Mapping[str, Any] | None = None, **more: Any) -> bytes:
    """A figure as a file.

    Args:
        data: what is drawn.
        kind: such as "png" or "svg".
        paint: how.
        style: settings of matplotlib while it is drawn.
        more: for `savefig`.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    settings: Any = dict(style or {})
    with matplotlib.rc_context(settings):
        figure = Figure(layout="constrained")
        FigureCanvasAgg(figure)
        paint(data, figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=120, **more)
    return buffer.getvalue()


def comparison_figure(data: dict[str, Any], figure: Any) -> None:
    """Each reward against the budget, and against −log π per token."""
    metrics = [m for m in data["cells"][0]["mean"] if ":" in m] or ["energy"]
    figure.set_size_inches(11, 4.2 * len(metrics))
    axes = figure.subplots(len(metrics), 2, squeeze=False)
    for (left, right), metric in zip(axes, metrics, strict=True):
        for i, label in enumerate(dict.fromkeys(c["method"] for c in data["cells"])):
            cells = [c for c in data["cells"] if c["method"] == label and _known(c, metric)]
            _line(left, right, cells, metric, plain_text(label), f"C{i}")
        left.set(xscale="log", xlabel="budget (samples per prompt)", ylabel=plain_text(title_of(metric)))
        budgets = sorted({c["budget"] for c in data["cells"]})
        left.set_xticks(budgets, [f"{b:g}" for b in budgets])
        left.minorticks_off()
        right.set(xlabel="−log π per token (nats)", ylabel=plain_text(title_of(metric)))
        left.legend()
    figure.suptitle(
        f"{data['prompts']} prompts, {len(data['seeds'])} seeds; bands and bars: 95 % bootstrap", fontsize=10
    )


def plain_text(text: str) -> str:
    """A text as matplotlib is to show it: a dollar starts no formula, a legend leaves out no name for its first _."""
    shown = printable(text, one_line=True).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


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
