"""The order of a sweep: the units, the rounds, then what it is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sea_toolkit.evaluation.adaptive_weights import next_weights
from sea_toolkit.evaluation.front import Front
from sea_toolkit.evaluation.sweep_runs import BEST_OF_N, PROMPTED, SWEEP, Batch, SweepWork, samples_of
from sea_toolkit.evaluation.weight_designs import Design
from sea_toolkit.runs.batches import in_batches
from sea_toolkit.util.conversation import Prompt


def run_sweep(
    work: SweepWork,
    front: Front,
    texts: Sequence[Prompt],
    size: int,
    design: Design,
    methods: Mapping[str, dict[str, str]],
) -> None:
    """The units, the rounds of the sweep, then what it is compared with; the report is written after each batch."""
    parts = in_batches(texts, size)
    batches = [Batch(i, i * size, part) for i, part in enumerate(parts)]
    for batch in batches:
        work.draw_base(batch)
    _sweep(work, front, batches, design)
    for batch in batches:
        spent = samples_of([row for row in work.store.rows if row["method"] == SWEEP and row["batch"] == batch.index])
        if BEST_OF_N in methods:
            work.draw_best_of_n(batch, spent)
        if PROMPTED in methods:
            work.draw_prompted(batch, spent, methods[PROMPTED])
        front.write(final=batch is batches[-1])


def _sweep(work: SweepWork, front: Front, batches: Sequence[Batch], design: Design) -> None:
    """All weights on all prompts: the first ones, then those that halve the widest gaps so far, a few at a time."""
    vectors, new, number = list(design.first), list(design.first), 0
    while new:
        for batch in batches:
            objectives = front.objectives
            work.run_round(batch, number, new, len(vectors) - len(new), objectives)
            front.write(final=False)
        numbers = front.numbers_after(number)
        left = min(design.most - len(vectors), len(design.first) - 1)
        new = next_weights(vectors, numbers.average(SWEEP), left) if design.is_adaptive and left > 0 else []
        vectors, number = vectors + new, number + 1
