"""A sweep over weights as it is planned, before a model is loaded: in a worker as in the process that was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.cells import ProgressMeter
from sea_toolkit.evaluation.objectives import swept, wanted_objectives
from sea_toolkit.evaluation.rows import Keeps
from sea_toolkit.evaluation.setup import EvaluationSetup
from sea_toolkit.evaluation.spread import Piece
from sea_toolkit.evaluation.sweep_runs import SWEEP, Batch, Step, SweepWork
from sea_toolkit.evaluation.weight_designs import Design
from sea_toolkit.runs.batches import in_batches
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.manifest import versions
from sea_toolkit.util.conversation import Prompt


class Sweep:
    """What is traded off on which prompts.

    Args:
        setup: the arguments that comparisons have as well.
        texts: the prompts.
        objectives: labels of the terms; all if there are none.
        strength: see `pareto`.
        answers: see `pareto`.
        batch: prompts of a batch.
        methods: what rows there will be → label → instruction, for those that are drawn under some.

    Raises:
        RecipeError: an energy of several answers, rewrites, unknown objectives or fewer than two.
    """

    def __init__(
        self,
        setup: EvaluationSetup,
        texts: Sequence[Prompt],
        objectives: Sequence[str],
        strength: float,
        answers: int,
        batch: int,
        methods: Mapping[str, Mapping[str, str]],
    ) -> None:
        self.setup, self.strength, self.answers, self.batch, self.methods = setup, strength, answers, batch, methods
        self.composition = setup.compose(setup.call.recipe)
        _refuse(self.composition, any(methods.values()))
        self.wanted = wanted_objectives(self.composition, objectives)
        self.texts = self.composition.prompts(texts)
        self.batches = [Batch(i, i * batch, part) for i, part in enumerate(in_batches(self.texts, batch))]

    @property
    def software(self) -> dict[str, Any]:
        """Versions of the packages and plugins that take part."""
        return versions(self.composition)

    def plan(self, versions: dict[str, Any] | None, threads: int, design: Design) -> dict[str, Any]:
        """What decides the rows, see `RowStore`.

        Args:
            versions: see `plans.versions`; None where no model is loaded yet.
            threads: of torch on the CPU.
            design: of the weights.
        """
        fixed = {
            "recipe": self.setup.call.recipe.model_dump(mode="json", exclude_none=True),
            **self.setup.tied_to(versions, self.composition, self.texts, self.batch),
            "objectives": [one.label for one in self.wanted],
            "signs": [one.sign for one in self.wanted],
            "design": design.spec,
            "strength": self.strength,
            "answers": self.answers,
        }
        return {"fixed": fixed, "methods": dict(self.methods), "threads": threads}

    def asked(self, design: Design) -> dict[str, Any]:
        """All that a worker has to know, as plain data, but for what a step asks."""
        return {
            **self.setup.asked(self.texts),
            "objectives": [one.label for one in self.wanted],
            "strength": self.strength,
            "answers": self.answers,
            "batch": self.batch,
            "methods": {method: dict(instructions) for method, instructions in self.methods.items()},
            "most": design.most,
        }

    def check(self, tokenizer: Any) -> None:
        """What can be said with the tokenizer, before weights are read.

        Raises:
            RecipeError, ModelError: see `Composition.check`.
        """
        self.composition.check(self.setup.session.finder, tokenizer)

    def work(self, store: Keeps, meter: ProgressMeter, most: int) -> SweepWork:
        """What makes rows for a store.

        Args:
            store: of the rows.
            meter: of the progress.
            most: weight vectors in the end.
        """
        call, base = self.setup.call, self.setup.call.recipe
        recipe, own = swept(base, call.own, self.wanted)
        return SweepWork(
            base, call.own, recipe, own, self.setup.session, call.allowed, store, self.wanted, self.strength, most,
            self.answers, meter, self.batches, self.methods,
        )  # fmt: skip

    def piece(self, step: Step, share: float) -> Piece:
        """A step for a worker.

        Args:
            step: of the sweep.
            share: samples of a prompt under one weight, about.
        """
        asks = {"step": asdict(step)}
        each = step.count or (len(step.vectors) * share if step.method == SWEEP else self.answers)
        return Piece(step.words, asks, each * len(self.batches[step.batch].prompts), step.batch)


def _refuse(composition: Composition, prompted: bool) -> None:
    """Raises: RecipeError for what a sweep cannot have."""
    if composition.joint:
        raise RecipeError(
            f"the energy {composition.joint[0]!r} is of all chains of a prompt, and a front is of single texts",
            hint="leave it out here",
        )
    if composition.recipe.rewrite is not None:
        raise RecipeError("rewrites compete by one energy, and a sweep has many", hint="leave out rewrite here")
    if isinstance(composition.recipe.initializer.options.get("text"), list):
        raise RecipeError(
            "a list of texts to begin with, and a sweep has a row for each prompt and weight",
            expected="one text, or a column of the prompts' table",
            hint='initializer = { name = "draft", text = { column = "draft" } }',
        )
    if prompted and composition.initializer.locked_text is not None:
        raise RecipeError(
            "answers with a locked beginning, and answers drawn under instructions", expected="one of them"
        )
