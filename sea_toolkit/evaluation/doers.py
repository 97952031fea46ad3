"""What a worker does for one kind of evaluation: the cells of a comparison, the batches of a sweep."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sea_toolkit.evaluation.cells import ProgressMeter
from sea_toolkit.evaluation.comparison import Cell, Comparison
from sea_toolkit.evaluation.methods import Method
from sea_toolkit.evaluation.order import Kept, Order
from sea_toolkit.evaluation.piece_worker import Doer
from sea_toolkit.evaluation.plans import prompts_of, versions
from sea_toolkit.evaluation.rows import COMPARISON, SWEEP
from sea_toolkit.evaluation.setup import EvaluationSetup
from sea_toolkit.evaluation.sweep import Sweep
from sea_toolkit.evaluation.sweep_runs import Step
from sea_toolkit.registry.allowed import Allowed
from sea_toolkit.registry.hub import PluginHub


def doer_of(order: Order, hub: PluginHub, allowed: Allowed, trust_remote_code: bool) -> Doer:
    """What does the pieces of an order.

    Raises:
        RecipeError: the recipe cannot be made here.
    """
    kind = ComparisonDoer if order.kind == COMPARISON.name else SweepDoer
    return kind(order.asked, hub, allowed, trust_remote_code)


class ComparisonDoer:
    """Does the cells of a comparison.

    Args:
        asked: see `Comparison.asked`.
        hub: plugins.
        allowed: what energies may run and ask.
        trust_remote_code: whether Python that comes with a model may run.
    """

    def __init__(self, asked: dict[str, Any], hub: PluginHub, allowed: Allowed, trust_remote_code: bool) -> None:
        setup = EvaluationSetup.in_worker(COMPARISON, asked, hub, allowed, trust_remote_code)
        methods = [Method(**{**data, "budgets": tuple(data["budgets"])}) for data in asked["methods"]]
        self.comparison = Comparison(
            setup, prompts_of(asked), methods, (), asked["judges"], asked["select"], asked["batch"]
        )
        self.software = self.comparison.software
        self._loaded = ExitStack()

    def load(self) -> dict[str, Any]:
        """Read the models."""
        comparison = self.comparison
        policy = self._loaded.enter_context(comparison.setup.loaded(comparison.texts, comparison.check))
        comparison.load_judges(policy)
        return versions(policy)

    def kept(self, path: Path, piece: dict[str, Any]) -> Kept:
        """The rows of a cell so far."""
        return Kept(path, COMPARISON.keys, [tuple(key) for key in piece["done"]])

    def do(self, piece: dict[str, Any], kept: Kept) -> None:
        """Do the budgets of a cell that have no rows."""
        cell = Cell(**piece["cell"])
        self.comparison.do(cell, self.comparison.work(kept), ProgressMeter(None, 0.0))


class SweepDoer:
    """Does the batches of a sweep.

    Args:
        asked: see `Sweep.asked`.
        hub: plugins.
        allowed: what energies may run and ask.
        trust_remote_code: whether Python that comes with a model may run.
    """

    def __init__(self, asked: dict[str, Any], hub: PluginHub, allowed: Allowed, trust_remote_code: bool) -> None:
        setup = EvaluationSetup.in_worker(SWEEP, asked, hub, allowed, trust_remote_code)
        names = ("objectives", "strength", "answers", "batch", "methods")
        self.sweep, self.most = Sweep(setup, prompts_of(asked), *(asked[name] for name in names)), asked["most"]
        self.software = self.sweep.software
        self._loaded = ExitStack()

    def load(self) -> dict[str, Any]:
        """Read the models."""
        sweep = self.sweep
        return versions(self._loaded.enter_context(sweep.setup.loaded(sweep.texts, sweep.check)))

    def kept(self, path: Path, piece: dict[str, Any]) -> Kept:
        """The rows of a step, which are all of one run."""
        return Kept(path, SWEEP.keys, ())

    def do(self, piece: dict[str, Any], kept: Kept) -> None:
        """Do a step."""
        self.sweep.work(kept, ProgressMeter(None, 0.0), self.most).do(Step.from_data(piece["step"]))
