"""The report of a comparison: means with intervals per method and budget, and what differs."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sea_toolkit.evaluation.equal_budgets import NO_COMPARISON, unequal
from sea_toolkit.evaluation.methods import Method
from sea_toolkit.evaluation.rows import Row, RowStore
from sea_toolkit.evaluation.statistics import RESAMPLES, SEED, Bootstrap, distinct
from sea_toolkit.reporting import plots
from sea_toolkit.reporting.tables import markdown, title_of
from sea_toolkit.util.run_files import PLOT, RESULTS, TABLE, write_json, write_run_file

Cell = tuple[str, float]
"""Method and budget."""

_CHOICE = {
    "energy": "the text of the lowest re-scored energy among all that the run met, inside the limits if any is",
    "reward": "the text of the highest weighted reward among all that the run met, inside the limits if any is",
}


class Report:
    """What the rows so far say, over the prompts that every method, budget and seed has finished.

    Attributes:
        folder: where it is written, or None.
        notes: whatever a person should know of how it was made.
        status: "done", or "interrupted": the numbers are those of the prompts that were finished.
    """

    def __init__(
        self,
        store: RowStore,
        prompts: Sequence[str],
        methods: Sequence[Method],
        seeds: Sequence[int],
        plan: dict[str, Any],
        versus: Sequence[Cell],
        folder: Path | None,
        command: str | None,
    ) -> None:
        self.store, self.prompts, self.methods, self.seeds = store, prompts, methods, seeds
        self.plan, self.versus, self.folder = plan, versus, folder
        self.command, self.notes, self.status = command, list[str](), "done"

    def interrupted(self) -> None:
        """Say that not all was done."""
        rest = "" if self.folder is None else f"; the same call with out={str(self.folder)!r} goes on"
        finished = self.data()["prompts"]
        self.status = "interrupted"
        self.notes.append(f"interrupted: {finished} of {len(self.prompts)} prompts are finished{rest}")

    def __repr__(self) -> str:
        data = self.data()
        head = f"Report of {data['prompts']} of {data['prompts_asked']} prompts ({self.status})"
        return "\n".join([head, *data["statements"][:3], "report.data() has the numbers"])

    def data(self) -> dict[str, Any]:
        """Plain numbers, as in `results.json`; `cells` is empty while no prompt is finished."""
        asked = [(m.label, b) for m in self.methods for b in m.budgets]
        rows = self._rows([("base", 1.0), *asked])
        complete = [
            p for p in range(len(self.prompts)) if all((seed, p) in rows[cell] for cell in asked for seed in self.seeds)
        ]
        cells = [
            c
            for c in [("base", 1.0), *asked]
            if complete and all((s, p) in rows[c] for s in self.seeds for p in complete)
        ]
        fixed = self.plan["fixed"]
        head = {
            "format": 1, "prompts": len(complete), "prompts_asked": len(self.prompts), "seeds": list(self.seeds),
            "batch": fixed["batch"], "select": fixed["select"], "choice": _CHOICE[fixed["select"]],
            "bootstrap": {"resamples": RESAMPLES, "seed": SEED, "interval": "95 % percentile, over prompts"},
            "methods": self.plan["methods"], "recipe": fixed["recipe"], "judges": fixed["judges"],
            "versions": fixed["versions"], "command": self.command,
        }  # fmt: skip
        if not cells:
            return {**head, "cells": [], "pairs": [], "statements": [], "notes": self.notes}
        bootstrap = Bootstrap(len(complete))
        metrics = _metrics(rows[cells[0]][self.seeds[0], complete[0]])
        columns = {m: np.stack([self._column(rows[c], complete, m) for c in cells], 1) for m in metrics}
        means = {m: bootstrap.means(columns[m]) for m in metrics}
        entries = []
        for i, (label, budget) in enumerate(cells):
            entry: dict[str, Any] = {"method": label, "budget": budget}
            entry["mean"] = {m: means[m][i].to_dict() for m in metrics}
            facts = self._plain(rows[label, budget], complete)
            entries.append({**entry, **facts, "unequal": unequal(budget, facts["samples"], facts["idle"])})
        excluded = {cell: entry["unequal"] for cell, entry in zip(cells, entries, strict=True) if entry["unequal"]}
        pairs = self._pairs(cells, columns, bootstrap, excluded)
        notes = [*self.notes, *_notes(rows[c][key] for c in cells for key in rows[c])]
        notes += [f"{name_of(cell)} {why}: it takes no part in any verdict" for cell, why in excluded.items()]
        shown = [self._statement(pair) for pair in pairs if pair["stated"]]
        return {**head, "cells": entries, "pairs": pairs, "statements": shown, "notes": notes}

    def write(self, *, final: bool) -> None:
        """Write results, table and plot to the folder, if there is one."""
        if self.folder is None:
            return
        data = self.data()
        self._write_numbers(data)
        if final:  # the plot last: it can fail
            notes = [note for note in plots.draw(data, self.folder / PLOT) if note not in self.notes]
            self.notes += notes
            if notes:
                self._write_numbers(self.data())

    def _write_numbers(self, data: dict[str, Any]) -> None:
        assert self.folder is not None
        write_json(self.folder / RESULTS, data)
        write_run_file(self.folder / TABLE, markdown(data).encode())

    def _rows(self, cells: Sequence[Cell]) -> dict[Cell, dict[tuple[int, int], Row]]:
        rows: dict[Cell, dict[tuple[int, int], Row]] = {cell: {} for cell in cells}
        for row in self.store.rows:
            cell = (row["method"], float(row["budget"]))
            if cell in rows and row["seed"] in self.seeds:
                rows[cell][row["seed"], row["prompt_index"]] = row
        return rows

    def _column(self, rows: dict[tuple[int, int], Row], prompts: Sequence[int], metric: str) -> NDArray[np.float64]:
        """Per prompt the mean over seeds; nan where a seed has no finite value."""
        values = [[_value(rows[s, p], metric) for s in self.seeds] for p in prompts]
        return np.array(values, dtype=np.float64).mean(1)

    def _plain(self, rows: dict[tuple[int, int], Row], prompts: Sequence[int]) -> dict[str, Any]:
        """Numbers without an interval: those of all texts together, and of the machine."""
        chosen = [[rows[s, p] for p in prompts] for s in self.seeds]
        flat = [row for of_seed in chosen for row in of_seed]

        def mean(key: str) -> float | None:
            known = [row[key] for row in flat if row.get(key) is not None]
            return float(np.mean(known)) if known else None

        peaks = [row["peak_memory_mb"] for row in flat if "peak_memory_mb" in row]
        across = float(np.mean([distinct([row["text"] for row in of_seed]) for of_seed in chosen]))
        return {
            "distinct_2": None if np.isnan(across) else across,
            "unfinished": float(np.mean([not row["finished"] for row in flat])),
            "tokens": mean("tokens"), "samples": mean("samples"), "seconds_per_prompt": mean("seconds"),
            "peak_memory_mb": max(peaks, default=None), "acceptance": mean("acceptance"), "steps": mean("steps"),
            "idle": float(np.mean([row["idle"] for row in flat])),
        }  # fmt: skip

    def _pairs(
        self,
        cells: Sequence[Cell],
        columns: dict[str, NDArray[np.float64]],
        bootstrap: Bootstrap,
        excluded: Mapping[Cell, str],
    ) -> list[dict[str, Any]]:
        """Every two methods at the same budget, and every point against those of `versus`. The report states those of
        the first method, and those of `versus`. With a cell of `excluded` there is no verdict."""
        first = self.methods[0].label
        asked: dict[tuple[int, int], bool] = {}
        for i, j in itertools.combinations(range(len(cells)), 2):
            if cells[i][1] == cells[j][1] and "base" not in (cells[i][0], cells[j][0]):
                asked[i, j] = cells[i][0] == first
        for point in self.versus:
            at = cells.index(point)
            for i, cell in enumerate(cells):
                if i != at and cell[0] != "base" and (at, i) not in asked:
                    asked[i, at] = True
        pairs = []
        told = {m for m in columns if ":" in m} or {"energy"}
        for metric, table in columns.items():
            for ((a, b), stated), interval in zip(
                asked.items(), bootstrap.differences(table, list(asked)), strict=True
            ):
                names = {"a": name_of(cells[a]), "b": name_of(cells[b]), "metric": metric}
                unfair = [name_of(cells[i]) for i in (a, b) if cells[i] in excluded]
                pairs.append(
                    {
                        **names,
                        **interval.to_dict(),
                        "verdict": NO_COMPARISON if unfair else interval.verdict,
                        "unequal": unfair,
                        "stated": stated and metric in told | {"limits_kept", "nll_per_token"},
                    }
                )
        return pairs

    @staticmethod
    def _statement(pair: dict[str, Any]) -> str:
        what = f"{pair['a']} − {pair['b']}, {title_of(pair['metric'])}"
        if pair["mean"] is None:
            return f"{what}: unknown"
        if pair["unequal"]:
            return f"{what}: {NO_COMPARISON}, see the note on {' and '.join(pair['unequal'])}"
        numbers = f"{pair['mean']:+.3f} [{pair['low']:+.3f}, {pair['high']:+.3f}]"
        return f"{what}: {numbers}, {pair['verdict']} ({pair['n']} prompts)"


def name_of(cell: Cell) -> str:
    """`tilted@32`."""
    return f"{cell[0]}@{cell[1]:g}"


def _metrics(row: Row) -> list[str]:
    rewards, judges = ([f"{kind}:{label}" for label in row[f"{kind}s"]] for kind in ("reward", "judge"))
    limits = ["limits_kept"] if row["violations"] else []
    return [*rewards, *judges, *limits, "nll_per_token", "energy", "distinct_2_within"]


def _value(row: Row, metric: str) -> float:
    kind, colon, label = metric.partition(":")
    if metric == "distinct_2_within":
        return distinct([row["text"]])
    if metric == "limits_kept":
        return float(not any(outside is None or outside > 0 for outside in row["violations"].values()))
    value = row[f"{kind}s"][label] if colon else row[metric]
    return float("nan") if value is None else value


def _notes(rows: Any) -> list[str]:
    """Notes of the runs, each once, with the methods they are about."""
    owners: dict[str, dict[str, None]] = defaultdict(dict)
    shared = True
    for row in rows:
        for note in row.get("notes", ()):
            owners[note][row["method"]] = None
        shared &= row.get("peak_is_of_the_run", True)
    notes = [f"{', '.join(methods)}: {note}" for note, methods in owners.items()]
    return notes if shared else [*notes, "peak memory is that of the whole process so far: it cannot be reset here"]
