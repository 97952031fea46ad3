"""A comparison as it is planned, before a model is loaded: the same in a worker as in the process that was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.cells import ProgressMeter, Work
from sea_toolkit.evaluation.judges import Judge
from sea_toolkit.evaluation.methods import Method
from sea_toolkit.evaluation.rows import Keeps, Key
from sea_toolkit.evaluation.setup import EvaluationSetup
from sea_toolkit.evaluation.spread import Piece
from sea_toolkit.lm.policy import Policy
from sea_toolkit.runs.batches import in_batches
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.manifest import versions
from sea_toolkit.runs.measures import refuse_measured
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.util.conversation import Prompt


@dataclass(frozen=True)
class Cell:
    """A method with one seed on one batch of prompts, at all of its budgets.

    Attributes:
        method: its label.
        seed: of its randomness.
        batch: number of the batch.
    """

    method: str
    seed: int
    batch: int


class Comparison:
    """What is compared on which prompts.

    Args:
        setup: the arguments that sweeps have as well.
        texts: the prompts.
        methods: with their budgets.
        seeds: of each.
        judges: see `Judge`.
        select: see `compare`.
        batch: prompts of a batch.

    Raises:
        RecipeError: an energy of several answers, one that has to be measured first, an unknown judge.
    """

    def __init__(
        self,
        setup: EvaluationSetup,
        texts: Sequence[Prompt],
        methods: Sequence[Method],
        seeds: Sequence[int],
        judges: Sequence[str | Mapping[str, Any]],
        select: str,
        batch: int,
    ) -> None:
        self.setup, self.methods, self.seeds, self.select, self.batch = setup, list(methods), seeds, select, batch
        self.base = setup.call.recipe
        self.compositions = [setup.compose(m.recipe(self.base, m.budgets[0], 0)) for m in methods]
        refuse_measured(self.composition.parts, "compare")
        if self.composition.joint:
            raise RecipeError(
                f"the energy {self.composition.joint[0]!r} is of all chains of a prompt; compare looks at one answer",
                hint="leave it out here",
            )
        self.texts = self.composition.prompts(texts)
        self.batches = in_batches(self.texts, batch)
        self.panel = [Judge(spec, setup.session.finder) for spec in judges]

    @property
    def composition(self) -> Composition:
        """That of the first method; all have the same energy."""
        return self.compositions[0]

    @property
    def software(self) -> dict[str, Any]:
        """Versions of the packages and plugins that take part."""
        each = [versions(composition) for composition in self.compositions]
        return {**each[0], "plugins": {name: facts for one in each for name, facts in one["plugins"].items()}}

    @property
    def cells(self) -> list[Cell]:
        """All of them, in the order in which one process does them."""
        return [
            Cell(method.label, seed, index)
            for index in range(len(self.batches))
            for seed in self.seeds
            for method in self.methods
        ]

    def plan(self, versions: dict[str, Any] | None, threads: int) -> dict[str, Any]:
        """What decides the rows, see `RowStore`.

        Args:
            versions: see `plans.versions`; None where no model is loaded yet.
            threads: of torch on the CPU.
        """
        fixed = {
            "recipe": _shared(self.base),
            **self.setup.tied_to(versions, self.composition, self.texts, self.batch),
            "select": self.select,
            "judges": [judge.spec for judge in self.panel],
        }
        return {"fixed": fixed, "methods": {m.label: m.to_dict() for m in self.methods}, "threads": threads}

    def asked(self) -> dict[str, Any]:
        """All that a worker has to know, as plain data, but for the methods' labels of a piece."""
        return {
            **self.setup.asked(self.texts),
            "methods": [asdict(method) for method in self.methods],
            "judges": [judge.spec for judge in self.panel],
            "select": self.select,
            "batch": self.batch,
        }

    def check(self, tokenizer: Any) -> None:
        """What can be said with the tokenizer, before weights are read.

        Raises:
            RecipeError, ModelError: see `Composition.check`; a judge that is in the energy.
        """
        self.composition.check(self.setup.session.finder, tokenizer)
        for judge in self.panel:
            judge.refuse_if_in(self.composition)

    def load_judges(self, policy: Policy) -> None:
        """Read their weights.

        Raises:
            ModelError, RecipeError: see `Judge.load`.
        """
        for judge in self.panel:
            judge.load(policy, self.texts, self.base.max_new_tokens)

    def work(self, store: Keeps) -> Work:
        """What makes rows for a store; the judges have to be loaded."""
        call = self.setup.call
        return Work(self.base, self.methods, self.setup.session, call.own, call.allowed, self.panel, store, self.select)

    def do(self, cell: Cell, work: Work, meter: ProgressMeter) -> None:
        """Make the rows of a cell that are not there."""
        meter.enter(self.words(cell))
        first = cell.batch * self.batch
        work.cell(self.method(cell), cell.seed, cell.batch, self.batches[cell.batch], first, meter)

    def piece(self, cell: Cell, done: set[Key]) -> Piece | None:
        """A cell for a worker; None if all of its rows are there."""
        method, place = self.method(cell), asdict(cell)
        keys = {b: (cell.method, b, cell.seed, cell.batch) for b in method.budgets}
        missing = [b for b, key in keys.items() if key not in done]
        if not missing:
            return None
        known = [*(key for key in keys.values() if key in done), ("base", 1.0, cell.seed, cell.batch)]
        asks = {"cell": place, "budgets": missing, "done": [list(key) for key in known if key in done]}
        return Piece(self.words(cell), asks, sum(missing) * len(self.batches[cell.batch]), cell.batch)

    def words(self, cell: Cell) -> str:
        """What a cell is, for those who watch."""
        return f"batch {cell.batch + 1} of {len(self.batches)}, seed {cell.seed}, {cell.method}"

    def method(self, cell: Cell) -> Method:
        """That of a cell."""
        return next(method for method in self.methods if method.label == cell.method)


def _shared(base: Recipe) -> dict[str, Any]:
    """The recipe without what each method sets for itself."""
    data = base.model_dump(mode="json", exclude_none=True)
    return {k: v for k, v in data.items() if k not in ("sampler", "seed")}
