"""The plot of a run: the energy of each chain over the steps, and what the terms weigh in it."""

from __future__ import annotations

from typing import Any

from sea_toolkit.reporting.plots import plain_text

WIDEST = 8
"""Chains with a line of their own color and a place in the legend."""


def run_figure(data: dict[str, Any], figure: Any) -> None:
    """Two panels: energies on the left, weighted terms on the right, where there are any.

    Args:
        data: `steps`; `lines` (label → an energy for each step, None where it is not known); `best`, the lowest so far;
            `terms` (label → a number for each step), and `terms_title`.
        figure: of matplotlib.
    """
    width = 8.4 if data["terms"] else 4.4
    figure.set_size_inches(width, 2.7)
    figure.set_layout_engine(None)  # to find a layout takes longer than all else
    panels = figure.subplots(1, 2 if data["terms"] else 1, squeeze=False)[0]
    figure.subplots_adjust(left=0.62 / width, right=1 - 0.05 / width, bottom=0.16, top=0.84, wspace=0.2)
    energies = panels[0]
    for i, (label, values) in enumerate(data["lines"].items()):
        shown = plain_text(label) if i < WIDEST else None
        energies.plot(data["steps"], _numbers(values), color=f"C{i % 10}", alpha=0.85, label=shown)
    energies.plot(data["steps"], _numbers(data["best"]), color="C7", linestyle=":", label="lowest so far")
    energies.set(xlabel="step", ylabel="energy (nats)")
    for i, (label, values) in enumerate(data["terms"].items()):
        panels[1].plot(data["steps"], _numbers(values), color=f"C{i % 10}", label=plain_text(label))
    if data["terms"]:
        panels[1].set(xlabel="step", ylabel=data["terms_title"])
    for panel in panels:
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.legend(fontsize=7, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=4, handlelength=1.4)


def _numbers(values: list[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]
