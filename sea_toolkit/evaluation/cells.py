"""The runs of a comparison: from a method, a seed and a batch of prompts to rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.peak_memory import peak_memory_mb, reset_peak_memory
from sea_toolkit.evaluation.judges import Judge
from sea_toolkit.evaluation.methods import Method
from sea_toolkit.evaluation.nested_budgets import BudgetedRun, Snapshot
from sea_toolkit.evaluation.rows import Keeps, Row
from sea_toolkit.events import Event
from sea_toolkit.problem.problem import Problem
from sea_toolkit.registry.allowed import Allowed
from sea_toolkit.runs.archive import Candidate
from sea_toolkit.runs.parts import OwnEnergies
from sea_toolkit.runs.read_again import ReadTexts
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.runs.result import finite
from sea_toolkit.runs.session import Session

Watch = Callable[[float, float, str], None]
"""`watch(done, total, what)` in samples over all prompts."""


@dataclass
class ProgressMeter:
    """Samples done out of the total, including those of smaller budgets that one run covers."""

    watch: Watch | None
    total: float
    done: float = 0.0
    description: str = ""

    def enter(self, description: str) -> None:
        self.description = description
        self.tell()

    def tell(self, more: float = 0.0) -> None:
        if self.watch is not None:
            self.watch(self.done + more, self.total, self.description)


@dataclass
class Work:
    """What all runs share."""

    base: Recipe
    methods: list[Method]
    session: Session
    energies: OwnEnergies | None
    allowed: Allowed
    judges: list[Judge]
    store: Keeps
    select: str

    def cell(
        self, method: Method, seed: int, index: int, prompts: Sequence[str], first: int, meter: ProgressMeter
    ) -> None:
        """All budgets of a method for one batch and seed: the largest first, whose run may cover the others."""
        left = [b for b in method.budgets if (method.label, b, seed, index) not in self.store.done]
        meter.done += len(prompts) * (sum(method.budgets) - sum(left))
        while left:
            budget = left.pop()
            share = len(prompts) * budget

            def on_event(event: Event, share: float = share) -> None:
                meter.tell(share * event.progress)

            run = self._run(method, seed, prompts, budget, left, on_event)
            exact = reset_peak_memory()
            run.execute()
            # what a result says of a whole run, such as that it never moved, is not true of a part of it
            notes = [*run.notes, *run.problem.run.incidents]
            facts = {"peak_memory_mb": round(peak_memory_mb(), 1), "peak_is_of_the_run": exact, "notes": notes}
            rows = []
            for b, snapshot in sorted(run.snapshots.items()):
                place = {"method": method.label, "budget": b, "seed": seed, "batch": index}
                rows += self._rows(run.problem, snapshot, place, first, facts)
                left = [other for other in left if other != b]
                meter.done += len(prompts) * b
            if method is self.methods[0] and ("base", 1.0, seed, index) not in self.store.done:
                rows += self._base_rows(run, seed, index, first)
            self.store.add(rows)
            meter.tell()

    def _run(
        self,
        method: Method,
        seed: int,
        prompts: Sequence[str],
        budget: float,
        smaller: list[float],
        on_event: Callable[[Event], None],
    ) -> BudgetedRun:
        recipe = method.recipe(self.base, budget, seed)
        composition = self.session.compose(recipe, self.energies, self.allowed)
        problem = self.session.bind(composition, prompts)
        problem.ledger.started = Ledger().started  # reading weights is not part of a method's time
        if self.base.rewrite is not None:  # each budget's answer has rewrites of its own
            smaller = []
        return BudgetedRun(composition, problem, smaller, select=self.select, on_event=on_event)

    def _base_rows(self, run: BudgetedRun, seed: int, index: int, first: int) -> list[Row]:
        """The first answer that the first chain was given: a sample of the policy, for the report's first line."""
        if self.base.initializer.name != "base-samples":
            return []
        starts = [archive.starts[0] for archive in run.archives]
        snapshot = Snapshot(starts, 1.0, float("nan"), None, 0, False, [1] * len(starts))
        return self._rows(
            run.problem, snapshot, {"method": "base", "budget": 1.0, "seed": seed, "batch": index}, first, {}
        )

    def _rows(
        self, problem: Problem, snapshot: Snapshot, place: dict[str, Any], first: int, facts: dict[str, Any]
    ) -> list[Row]:
        chosen: list[Candidate] = snapshot.chosen
        nll = ReadTexts.read(problem, [[c] for c in chosen]).nll_per_token()
        texts, ended = [c.text for c in chosen], [c.finished for c in chosen]
        verdicts = {j.label: j.score(problem.prompts, texts, ended) for j in self.judges}
        rewards = [t.label for t in problem.terms if t.is_reward]
        rows = []
        for p, c in enumerate(chosen):
            rates = snapshot.acceptance
            rows.append({
                **place, "prompt_index": first + p, "text": c.text, "finished": c.finished, "tokens": c.tokens,
                "energy": finite(c.energy), "rewards": {k: finite(-c.terms[k]) for k in rewards},
                "terms": {k: finite(v) for k, v in c.terms.items()}, "nll_per_token": finite(nll[p][0]),
                "judges": {k: finite(v[p]) for k, v in verdicts.items()}, "samples": snapshot.samples,
                "seconds": finite(snapshot.seconds / len(chosen)), "acceptance": None if rates is None else rates[p],
                "steps": snapshot.steps, "idle": snapshot.idle, "met": snapshot.met[p],
                "violations": {k: finite(v) for k, v in c.violations.items()}, **facts,
            })  # fmt: skip
        return rows
