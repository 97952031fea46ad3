"""The report of a sweep over weights: the whole trade-off, what it is compared with, and the answers to pick."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.front_data import cells_of, fronts_of, metrics_of, spent_by, statement_of
from sea_toolkit.evaluation.front_numbers import FrontNumbers, front_numbers, measure
from sea_toolkit.evaluation.objectives import LOW, Objective, Wanted
from sea_toolkit.evaluation.picks import Pick, picks, read_rule
from sea_toolkit.evaluation.rows import RowStore
from sea_toolkit.evaluation.statistics import RESAMPLES, SEED, Bootstrap
from sea_toolkit.evaluation.sweep_runs import SWEEP
from sea_toolkit.reporting import plots
from sea_toolkit.reporting.front_plot import front_figure
from sea_toolkit.reporting.front_tables import front_markdown
from sea_toolkit.runs.result import plain
from sea_toolkit.util.run_files import PLOT, RESULTS, TABLE, write_json, write_run_file


class Front:
    """What the rows so far say, over the prompts that are finished under every weight.

    Attributes:
        prompts: all that were asked for.
        folder: where it is written, or None.
        notes: whatever a person should know of how it was made.
        status: "done", or "interrupted": the numbers are those of the prompts that were finished.
    """

    def __init__(
        self,
        store: RowStore,
        prompts: Sequence[str],
        wanted: Sequence[Wanted],
        limits: Sequence[str],
        plan: dict[str, Any],
        folder: Path | None,
        command: str | None,
    ) -> None:
        self.store, self.prompts, self.wanted, self.limits = store, prompts, wanted, limits
        self.plan, self.folder, self.command = plan, folder, command
        self.notes, self.status = list[str](), "done"
        self._read = -1
        self._numbers: FrontNumbers | None = None
        self._objectives: list[Objective] | None = None

    @property
    def numbers(self) -> FrontNumbers | None:
        """Those of the rows so far; None as long as the units are not measured."""
        if self._read != len(self.store.rows):
            self._numbers = front_numbers(self.store.rows, self.wanted, len(self.prompts))
            self._read = len(self.store.rows)
        return self._numbers

    @property
    def objectives(self) -> list[Objective]:
        """With their units, which are measured before the sweep begins."""
        if self._objectives is None:
            self._objectives = measure(self.store.rows, self.wanted, len(self.prompts))
        assert self._objectives is not None
        return self._objectives

    def numbers_after(self, number: int) -> FrontNumbers:
        """Those of the rows up to this round, which all prompts have finished: a sweep that is gone on with has rows of
        later ones."""
        rows = [row for row in self.store.rows if row["round"] <= number]
        found = front_numbers(rows, self.wanted, len(self.prompts))
        assert found is not None
        return found

    def pick(self, *rules: str | Sequence[float], method: str = SWEEP) -> list[Pick]:
        """One text for each finished prompt.

        Args:
            rules: "knee", weights such as "1,2" or (1, 2), and conditions such as "toxicity <= -4", which are joined.
                Without knee and weights all objectives count the same.
            method: whose texts: "sweep", "best-of-n" or "prompted".

        Raises:
            RecipeError: see `read_rule`; a method that was not run, or no text of any prompt holds the conditions.
        """
        rule = read_rule(rules, [one.label for one in self.wanted])
        numbers = self.numbers
        if numbers is None or not numbers.places:
            raise RecipeError("no prompt is finished: there is nothing to pick from")
        if method not in numbers.methods:
            raise RecipeError(f"method {method!r} was not run", expected=f"one of {', '.join(numbers.methods)}")
        found = picks(numbers, self.prompts, rule, method, self.plan["fixed"]["strength"])
        if all(pick.text is None for pick in found):
            nearest = found[0] if len(found) == 1 else self._nearest(found, [c.label for c in rule.conditions])
            raise RecipeError(
                f"pick {' and '.join(map(str, rule.conditions))}: {nearest.note} (prompt {nearest.prompt[:40]!r})",
                expected="a condition that some text holds",
                hint="a milder condition, more weight on that objective (--weights), or a larger --budget",
            )
        return found

    def _nearest(self, found: Sequence[Pick], labels: Sequence[str]) -> Pick:
        assert self._numbers is not None
        objectives = [o for o in self._numbers.objectives if o.label in labels]
        return max(found, key=lambda pick: sum(o.z_of_shown(pick.values[o.label]) for o in objectives))

    def __repr__(self) -> str:
        data = self.data()
        labels = ", ".join(one.label for one in self.wanted)
        head = f"Front of {labels} over {data['prompts']} of {data['prompts_asked']} prompts ({self.status})"
        return "\n".join([head, *data["statements"][:3], 'front.pick("knee") gives answers, front.data() the numbers'])

    def interrupted(self) -> None:
        """Say that not all was done."""
        rest = "" if self.folder is None else f"; the same call with out={str(self.folder)!r} goes on"
        finished = 0 if self.numbers is None else len(self.numbers.places)
        self.status = "interrupted"
        self.notes.append(f"interrupted: {finished} of {len(self.prompts)} prompts are finished{rest}")

    def data(self) -> dict[str, Any]:
        """Plain numbers, as in `results.json`, None where one is not finite; no `cells` while no prompt is finished."""
        data: dict[str, Any] = plain(self._data())
        return data

    def _data(self) -> dict[str, Any]:
        numbers, fixed = self.numbers, self.plan["fixed"]
        head: dict[str, Any] = {
            "format": 1, "prompts": 0 if numbers is None else len(numbers.places), "prompts_asked": len(self.prompts),
            "status": self.status, "strength": fixed["strength"], "design": fixed["design"],
            "answers": fixed["answers"], "quantile": LOW, "limits": list(self.limits), "batch": fixed["batch"],
            "bootstrap": {"resamples": RESAMPLES, "seed": SEED, "interval": "95 % percentile, over prompts"},
            "recipe": fixed["recipe"], "versions": fixed["versions"], "methods": self.plan["methods"],
            "command": self.command, "spent": spent_by(self.store.rows),
        }  # fmt: skip
        empty: dict[str, Any] = {"weights": [], "cells": [], "metrics": {}, "differences": [], "statements": []}
        head["objectives"] = [] if numbers is None else [o.to_dict() for o in numbers.objectives]
        if numbers is None or not numbers.places:
            return {**head, **empty, "fronts": [], "notes": [*self.notes, *self._notes_of_runs()]}
        bootstrap = Bootstrap(len(numbers.places))
        metrics, differences = metrics_of(numbers, bootstrap)
        return {
            **head,
            "weights": [list(vector) for vector in numbers.vectors],
            "cells": cells_of(numbers, bootstrap),
            "metrics": metrics,
            "differences": differences,
            "statements": [statement_of(pair) for pair in differences],
            "fronts": fronts_of(numbers, self.prompts),
            "notes": [*self.notes, *self._notes_of_runs()],
        }

    def write(self, *, final: bool) -> None:
        """Write results, table and plot to the folder, if there is one."""
        if self.folder is None:
            return
        self._write_numbers()
        if final:  # the plot last: it can fail
            notes = [n for n in plots.draw(self.data(), self.folder / PLOT, front_figure) if n not in self.notes]
            self.notes += notes
            if notes:
                self._write_numbers()

    def plot(self, path: Path) -> list[str]:
        """Draw the front into a file, .png, .svg or .pdf; returns a note where it cannot be drawn."""
        return plots.draw(self.data(), path, front_figure)

    def _write_numbers(self) -> None:
        assert self.folder is not None
        data = self.data()
        write_json(self.folder / RESULTS, data)
        write_run_file(self.folder / TABLE, front_markdown(data).encode())

    def _notes_of_runs(self) -> list[str]:
        """Notes of the runs, each once."""
        notes = dict.fromkeys(f"{row['method']}: {note}" for row in self.store.rows for note in row["notes"])
        outside = 0 if self._numbers is None else self._numbers.outside(SWEEP)
        said = f"{outside} prompts have no text that keeps all limits: what counts there is the nearest one"
        return [*notes, *([said] if outside else [])]
