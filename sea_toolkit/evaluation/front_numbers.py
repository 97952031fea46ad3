"""What the rows of a sweep say: per prompt and method the texts, the front, and the answer for each weight."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sea_toolkit.evaluation.front_geometry import Points, hypervolume, nondominated
from sea_toolkit.evaluation.objectives import Objective, Wanted, measured, points_of
from sea_toolkit.evaluation.pools import Met, Pool, best_under
from sea_toolkit.evaluation.rows import Row
from sea_toolkit.evaluation.sweep_runs import BASE, BEST_OF_N, PROMPTED, SWEEP
from sea_toolkit.evaluation.weight_designs import Weights

METHODS = (SWEEP, BEST_OF_N, PROMPTED)

Column = NDArray[np.float64]
"""One number for each prompt; nan where there is none."""


@dataclass(frozen=True)
class MethodFront:
    """What one method found for one prompt.

    Attributes:
        texts: all that it met, of a prompt with limits only those inside, or else the nearest.
        points: `[n, K]`, see `points_of`.
        answers: for each weight vector the text of the lowest energy.
    """

    texts: list[Met]
    points: Points
    answers: list[Met]

    @cached_property
    def on_front(self) -> NDArray[np.int64]:
        """Places of the texts that no other one dominates, in the order of the first objective."""
        places = np.flatnonzero(nondominated(self.points))
        return places[np.argsort(self.points[places, 0], kind="stable")]


@dataclass(frozen=True)
class FrontNumbers:
    """The numbers of a sweep over the prompts that it has finished.

    Attributes:
        objectives: with their units.
        vectors: all weights so far.
        places: of the prompts that are finished under all of them.
        fronts: for each of these method → what it found; without a method that has not come to the prompt.
        weights: for each of these the whole energy's weights, label → weight, under each vector.
        base: texts that the units were measured on.
    """

    objectives: list[Objective]
    vectors: list[Weights]
    places: list[int]
    fronts: list[dict[str, MethodFront]]
    weights: list[list[Mapping[str, float]]]
    base: int

    @property
    def methods(self) -> list[str]:
        """Those that have come to a prompt."""
        return [m for m in METHODS if any(m in fronts for fronts in self.fronts)]

    def hypervolumes(self, method: str) -> Column:
        """Of all texts that the method met."""
        return self._column(method, lambda front: hypervolume(front.points))

    def sizes(self, method: str) -> Column:
        """Texts on the front."""
        return self._column(method, lambda front: float(len(front.on_front)))

    def inner_products(self, method: str) -> Column:
        """Σ share · z of the answer for each vector, mean over the vectors."""
        shares = np.array(self.vectors)

        def of(front: MethodFront) -> float:
            z = points_of(self.objectives, (met.terms for met in front.answers))
            # a share of 0 counts nothing, not even of a term that is infinite
            return float(np.where(shares > 0, shares * np.where(shares > 0, z, 0.0), 0.0).sum(1).mean())

        return self._column(method, of)

    def values(self, method: str, vector: int, objective: Objective) -> Column:
        """The objective, as it is shown, of the answer for a vector; nan where it is infinite."""

        def of(front: MethodFront) -> float:
            value = objective.shown(front.answers[vector].terms[objective.label])
            return value if math.isfinite(value) else math.nan

        return self._column(method, of)

    def nll(self, method: str, vector: int) -> Column:
        """−log π per token of the answer for a vector."""

        def of(front: MethodFront) -> float:
            value = front.answers[vector].nll_per_token
            return float("nan") if value is None else value

        return self._column(method, of)

    def outside(self, method: str) -> int:
        """Prompts without a text that keeps all limits."""
        return sum(bool(found[method].texts[0].violation) for found in self.fronts)

    def average(self, method: str) -> Points:
        """`[V, K]`: the answers for each vector, mean over prompts, in units above the reference point."""
        columns = [[self.values(method, v, o) for o in self.objectives] for v in range(len(self.vectors))]
        with np.errstate(invalid="ignore"):
            means = np.array([[np.nanmean(column) for column in row] for row in columns])
        z = [[o.z_of_shown(value) for o, value in zip(self.objectives, row, strict=True)] for row in means]
        return np.array(z, dtype=np.float64)

    def _column(self, method: str, number: Callable[[MethodFront], float]) -> Column:
        return np.array([number(f[method]) if method in f else np.nan for f in self.fronts], dtype=np.float64)


def measure(rows: Sequence[Row], wanted: Sequence[Wanted], prompts: int) -> list[Objective] | None:
    """The objectives with units and reference points; None as long as a prompt has no base answers.

    Raises:
        RecipeError: see `measured`.
    """
    base = [row for row in rows if row["method"] == BASE]
    if len(base) < prompts:
        return None
    return measured(wanted, [[met.terms for met in _texts(row)] for row in base], base[0]["rewards"])


def front_numbers(rows: Sequence[Row], wanted: Sequence[Wanted], prompts: int) -> FrontNumbers | None:
    """What the rows say; None as long as the units are not known.

    Args:
        rows: of a sweep.
        wanted: the objectives.
        prompts: how many were asked for.
    """
    objectives = measure(rows, wanted, prompts)
    if objectives is None:
        return None
    by: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        by.setdefault((row["method"], row["prompt_index"]), []).append(row)
    swept = [sorted(by.get((SWEEP, p), []), key=lambda row: int(row["vector"])) for p in range(prompts)]
    longest = max(swept, key=len, default=[])
    vectors = [tuple(row["shares"]) for row in longest]
    places = [p for p in range(prompts) if vectors and len(swept[p]) == len(vectors)]
    fronts, weights = [], []
    for p in places:
        under = [row["weights"] for row in swept[p]]
        base = list(_all_texts(by[BASE, p]))
        found = {}
        for method in METHODS:
            if (method, p) in by:
                more = swept[p] if method == SWEEP else by[method, p]
                found[method] = _front([*base, *_all_texts(more)], under, objectives)
        fronts.append(found)
        weights.append(under)
    return FrontNumbers(
        objectives, vectors, places, fronts, weights, sum(len(by[BASE, p][0]["texts"]) for p in range(prompts))
    )


def _front(texts: Iterable[Met], under: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> MethodFront:
    pool = Pool()
    pool.add(texts)
    inside = pool.inside
    answers = [best_under(inside, weights) for weights in under]
    return MethodFront(inside, points_of(objectives, (met.terms for met in inside)), answers)


def _texts(row: Row) -> list[Met]:
    return [Met.from_row(text, where) for text, where in zip(row["texts"], row["where"], strict=True)]


def _all_texts(rows: Iterable[Row]) -> Iterable[Met]:
    return (met for row in rows for met in _texts(row))
