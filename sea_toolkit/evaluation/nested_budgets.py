"""One run that gives the answers of several budgets, where that is exact.

A sampler that states that it reads the budget for its last steps alone, or never, takes the same steps as long as more
is left than they cost, unless a number of the recipe follows a schedule. The run of a smaller budget is then a
beginning of this one and an end of its own, which is taken from there; afterwards the run goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from sea_toolkit.errors import RecipeError
from sea_toolkit.events import Event
from sea_toolkit.problem.problem import Problem
from sea_toolkit.runs.archive import Archive, Candidate, record
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.run import Run
from sea_toolkit.samplers.base import Info


@dataclass(frozen=True)
class Snapshot:
    """The outcome of a run at one budget.

    Attributes:
        chosen: per prompt the text of its choice.
        samples: spent per prompt (mean of the batch), by the ledger.
        seconds: of the whole batch, without loading models.
        acceptance: per prompt, mean over chains and steps; None where the sampler reports none.
        steps: taken.
        idle: no step was taken, of a sampler that takes steps: the answers are the starting texts.
        met: per prompt, texts scored.
    """

    chosen: list[Candidate]
    samples: float
    seconds: float
    acceptance: list[float] | None
    steps: int
    idle: bool
    met: list[int]


class BudgetedRun(Run):
    """A run to its budget that also records the outcomes of smaller budgets, where that is exact.

    Args:
        composition, problem: as for a run.
        smaller: budgets below the run's own.
        select: "energy" chooses the lowest re-scored energy, "reward" the highest weighted reward among all texts of
            finite energy.
        on_event: as for a run.

    Raises:
        RecipeError: as a run; "reward" without a reward in the energy.
    """

    def __init__(
        self,
        composition: Composition,
        problem: Problem,
        smaller: Sequence[float] = (),
        *,
        select: str = "energy",
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        super().__init__(composition, problem, on_event=on_event)
        assert self.budget is not None
        self.own, self.select = self.budget, select
        self.scheduled = any(item.kind == "schedule" for item in composition.items)
        self.pending = sorted(smaller)
        self.snapshots: dict[float, Snapshot] = {}
        self.by_reward = [Archive() for _ in problem.prompts]
        self.accepted: torch.Tensor | None = None
        self.counted = 0
        if select == "reward" and composition.recipe.rewrite is not None:
            raise RecipeError("choosing by reward, and rewrites compete by energy", hint="one of the two")
        if select == "reward" and not any(t.is_reward for t in problem.terms):
            raise RecipeError("choosing by reward, and there is no reward", hint="choose by energy (--select energy)")

    def _goes_on(self) -> bool:
        going = super()._goes_on()
        cost = self.course.expected
        while self.pending and not self._goes_on_alike(self.pending[0], going, cost):
            budget = self.pending.pop(0)
            if self._is_beginning(budget):
                self._end_at(budget)
        return super()._goes_on()

    def _goes_on_alike(self, budget: float, going: bool, cost: float | None) -> bool:
        """Whether a run of that budget would take the same step here."""
        with self._budget(budget):
            return super()._goes_on() and going and self.course.expected == cost

    @contextmanager
    def _budget(self, budget: float) -> Iterator[None]:
        self.course.budget = self.problem.clock.budget = budget
        try:
            yield
        finally:
            self.course.budget = self.problem.clock.budget = self.own

    def _end_at(self, budget: float) -> None:
        """Take the end of a run of that budget, keep its outcome, and come back."""
        parts, state = self._parts_now(), self.state
        by_reward, counted = [archive.state() for archive in self.by_reward], (self.accepted, self.counted)
        with self._budget(budget):
            while super()._goes_on():
                self._take_step()
            self._score_final_texts()
            self._spend_rest()
            self.snapshots[budget] = self._snapshot(self.problem.ledger.seconds)
        self.state = state
        self._undo(parts)
        for archive, before in zip(self.by_reward, by_reward, strict=True):
            archive.load_state(before)
        self.accepted, self.counted = counted

    def _is_beginning(self, budget: float) -> bool:
        """Whether a run of that budget would have taken the same steps, with as many chains: none so far depends on
        the budget."""
        limits = self.problem.run.multipliers
        if limits.freezes and limits.values:  # when they freeze is a part of the budget
            return False
        if self.scheduled or self.composition.chains(self.problem, budget) != self.problem.chains:
            return False
        return self.sampler.reads_budget != "always"

    def _record(self, info: Info, step: int) -> None:
        super()._record(info, step)
        if info.scored is not None and self.select == "reward":
            rewards = [{t.label: w[t.label] if t.is_reward else 0.0 for t in self.problem.terms} for w in self.weights]
            record(self.by_reward, info.scored, step, rewards)
        if "acceptance" in info.metrics:
            rate = info.metrics["acceptance"].float().mean(-1)
            self.accepted = rate if self.accepted is None else self.accepted + rate
            self.counted += 1

    def _results(self) -> list[Any]:
        self.snapshots[self.own] = self._snapshot(self.problem.ledger.seconds)
        return super()._results()

    def _snapshot(self, seconds: float) -> Snapshot:
        chosen = [archive.best[0] for archive in self.archives]
        if self.select == "reward":
            best = [archive.best[0] for archive in self.by_reward]
            pairs = zip(best, self.weights, strict=True)
            chosen = [replace(c, energy=sum(weights[k] * v for k, v in c.terms.items())) for c, weights in pairs]
        rates = None if self.accepted is None else (self.accepted / self.counted).tolist()
        met = [archive.seen for archive in self.archives]
        idle = self.step == 0 and not self.sampler.counts_budget
        return Snapshot(chosen, self.problem.ledger.samples, seconds, rates, self.step, idle, met)
