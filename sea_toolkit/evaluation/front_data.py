"""The parts of a front's report, as plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sea_toolkit.evaluation.front_geometry import nondominated
from sea_toolkit.evaluation.front_numbers import Column, FrontNumbers
from sea_toolkit.evaluation.rows import Row
from sea_toolkit.evaluation.statistics import Bootstrap
from sea_toolkit.evaluation.sweep_runs import SWEEP

METRICS = {"hypervolume": FrontNumbers.hypervolumes, "mean inner product": FrontNumbers.inner_products}
"""What is said of a front as a whole, one number for each prompt."""


def metrics_of(numbers: FrontNumbers, bootstrap: Bootstrap) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Means of each method, and what the sweep has above the others on the same prompts."""
    metrics: dict[str, Any] = {}
    differences = []
    for name, column_of in METRICS.items():
        columns = np.stack([column_of(numbers, method) for method in numbers.methods], 1)
        means = zip(numbers.methods, bootstrap.means(columns), strict=True)
        metrics[name] = {method: mean.to_dict() for method, mean in means}
        pairs = [(0, j) for j in range(1, len(numbers.methods))]
        for (_, j), found in zip(pairs, bootstrap.differences(columns, pairs), strict=True):
            names = {"a": SWEEP, "b": numbers.methods[j], "metric": name}
            differences.append({**names, **found.to_dict(), "verdict": found.verdict})
    sizes = {method: float(np.nanmean(numbers.sizes(method))) for method in numbers.methods}
    return {**metrics, "texts on the front": sizes}, differences


def fronts_of(numbers: FrontNumbers, prompts: Sequence[str]) -> list[dict[str, Any]]:
    """The texts of the sweep that no other one dominates."""
    fronts = []
    for place, found in zip(numbers.places, numbers.fronts, strict=True):
        front = found[SWEEP]
        texts = [
            {
                "text": front.texts[i].text,
                "values": {o.label: o.shown(front.texts[i].terms[o.label]) for o in numbers.objectives},
                "where": front.texts[i].where,
            }
            for i in front.on_front
        ]
        fronts.append({"prompt": str(prompts[place]), "met": len(front.texts), "texts": texts})
    return fronts


def spent_by(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Method → samples per prompt, and seconds in all."""
    spent: dict[str, dict[str, float]] = {}
    for row in rows:
        entry = spent.setdefault(row["method"], {"samples": 0.0, "seconds": 0.0, "cpu_seconds": 0.0})
        entry["samples"] += row["samples"]
        entry["seconds"] += row["seconds"]
        entry["cpu_seconds"] += row["cpu_seconds"]
    prompts = {(row["method"], row["prompt_index"]) for row in rows}
    return {
        method: {
            "samples": round(entry["samples"] / sum(m == method for m, _ in prompts), 3),
            "seconds": round(entry["seconds"], 3),
            "cpu_seconds": round(entry["cpu_seconds"], 3),
        }
        for method, entry in spent.items()
    }


def cells_of(numbers: FrontNumbers, bootstrap: Bootstrap) -> list[dict[str, Any]]:
    """A line per method and weight: the answers' objectives, mean over prompts."""
    cells = []
    for method in numbers.methods:
        on_front = nondominated(numbers.average(method))
        for v, vector in enumerate(numbers.vectors):
            columns: list[Column] = [numbers.values(method, v, o) for o in numbers.objectives]
            found = bootstrap.means(np.stack([*columns, numbers.nll(method, v)], 1))
            labels = [o.label for o in numbers.objectives]
            cells.append({
                "method": method, "weights": list(vector),
                "mean": {label: mean.to_dict() for label, mean in zip(labels, found, strict=False)},
                "nll_per_token": found[-1].to_dict(), "on_front": bool(on_front[v]),
            })  # fmt: skip
    return cells


def statement_of(pair: dict[str, Any]) -> str:
    what = f"{pair['a']} − {pair['b']}, {pair['metric']}"
    if pair["mean"] is None:
        return f"{what}: unknown"
    numbers = f"{pair['mean']:+.3f} [{pair['low']:+.3f}, {pair['high']:+.3f}]"
    return f"{what}: {numbers}, {pair['verdict']} ({pair['n']} prompts)"
