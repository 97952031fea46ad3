"""The order of a sweep: the units, the rounds, then what it is compared with. Steps that are given together are apart
from each other: each is of another batch of prompts, or another method, and workers may do them at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sea_toolkit.evaluation.adaptive_weights import next_weights
from sea_toolkit.evaluation.front import Front
from sea_toolkit.evaluation.sweep_runs import BASE, BEST_OF_N, PROMPTED, SWEEP, Step, samples_of
from sea_toolkit.evaluation.weight_designs import Design

After = Callable[[Step], None]
Do = Callable[[Sequence[Step], After], None]
"""Has steps done, and calls the second argument with each whose rows are kept."""


def run_sweep(do: Do, front: Front, batches: int, design: Design, methods: Mapping[str, Mapping[str, str]]) -> None:
    """The units, the rounds of the sweep, then what it is compared with; the report is written after each batch.

    Args:
        do: has steps done.
        front: of their rows.
        batches: how many there are.
        design: of the weights.
        methods: what rows there will be.
    """
    do([Step(BASE, batch) for batch in range(batches)], lambda step: None)
    _sweep(do, front, batches, design)
    steps = []
    for batch in range(batches):
        spent = samples_of([row for row in front.store.rows if row["method"] == SWEEP and row["batch"] == batch])
        steps += [Step(method, batch, count=spent) for method in (BEST_OF_N, PROMPTED) if method in methods]
    do(steps, lambda step: front.write(final=False))
    front.write(final=True)


def _sweep(do: Do, front: Front, batches: int, design: Design) -> None:
    """All weights on all prompts: the first ones, then those that halve the widest gaps so far, a few at a time."""
    vectors, new, number = list(design.first), list(design.first), 0
    while new:
        objectives, before = tuple(front.objectives), len(vectors) - len(new)
        steps = [Step(SWEEP, batch, number, tuple(new), before, objectives) for batch in range(batches)]
        do(steps, lambda step: front.write(final=False))
        numbers = front.numbers_after(number)
        left = min(design.most - len(vectors), len(design.first) - 1)
        new = next_weights(vectors, numbers.average(SWEEP), left) if design.is_adaptive and left > 0 else []
        vectors, number = vectors + new, number + 1
