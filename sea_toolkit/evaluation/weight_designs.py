"""Which weights a sweep tries: points of the simplex."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sea_toolkit.errors import RecipeError, shortened

Weights = tuple[float, ...]
"""One number for each objective, none below 0; their sum is 1."""

MOST = 1024
"""Weight vectors of a sweep: more of them is a slip of the finger."""

EXPECTED = "grid:5, simplex:9, adaptive:9, or weights such as 1,0 0.5,0.5 0,1"


@dataclass(frozen=True)
class Design:
    """The weights of a sweep.

    Attributes:
        first: those that it begins with, each once.
        most: how many there may be in the end: more than at first where the sweep is adaptive.
        spec: as it was asked for.
    """

    first: tuple[Weights, ...]
    most: int
    spec: str

    @property
    def is_adaptive(self) -> bool:
        """Whether later weights depend on what the first ones gave."""
        return self.most > len(self.first)


def design_of(asked: str | Sequence[Any], objectives: int) -> Design:  # anything may come: this is the check
    """The design that is asked for.

    Args:
        asked: `grid:N`, N equal steps from one objective to another, ends included; `simplex:N`, N vectors as far from
            each other as they can be; `adaptive:N`, up to N, where the front has its widest gaps; or the vectors
            themselves, texts such as `1,3` or numbers, which are divided by their sums.
        objectives: K.

    Raises:
        RecipeError: another form, too few or too many vectors, one of another length, a negative number or no number
            above 0, or one that is there twice.
    """
    named = [asked] if isinstance(asked, str) else list(asked)
    if len(named) == 1 and isinstance(named[0], str) and ":" in named[0]:
        return _named(named[0], objectives)
    if any(isinstance(one, str) and ":" in one for one in named):
        raise RecipeError(f"weights {shortened(repr(named))}", expected="one design, or vectors alone")
    vectors = [weights_of(one, objectives) for one in named]
    if not vectors:
        raise RecipeError("there are no weights", expected=EXPECTED)
    for i, vector in enumerate(vectors):
        if any(np.allclose(vector, other) for other in vectors[:i]):
            raise RecipeError(f"the weights {written(vector)} are there twice", expected="each vector once")
    return Design(tuple(vectors), len(vectors), " ".join(map(written, vectors)))


def weights_of(asked: Any, objectives: int) -> Weights:  # anything may come: this is the check
    """One vector, divided by its sum.

    Raises:
        RecipeError: it is none.
    """
    parts = asked.split(",") if isinstance(asked, str) else asked
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError):
        raise RecipeError(f"weights {shortened(repr(asked))}", expected=EXPECTED) from None
    shown = ",".join(f"{n:g}" for n in numbers)
    if len(numbers) != objectives:
        raise RecipeError(
            f"weights {shown}: {len(numbers)} numbers for {objectives} objectives", expected="one number for each"
        )
    if not all(math.isfinite(n) and n >= 0 for n in numbers):
        raise RecipeError(f"weights {shown}", expected="numbers of at least 0: whether more is better is known")
    total = sum(numbers)
    if total == 0:
        raise RecipeError(f"weights {shown} are all 0: they ask for nothing", expected="a number above 0 among them")
    return tuple(n / total for n in numbers)


def written(weights: Weights) -> str:
    """`0.25,0.75`."""
    return ",".join(f"{w:.4g}" for w in weights)


def _named(text: str, objectives: int) -> Design:
    kind, _, number = text.partition(":")
    kind, count = kind.strip(), int(number) if number.strip().isdecimal() else 0
    if kind not in ("grid", "simplex", "adaptive") or not 2 <= count <= MOST:
        raise RecipeError(f"weights {shortened(repr(text))}", expected=f"{EXPECTED}, N from 2 to {MOST}")
    if kind == "grid":
        size = math.comb(count - 1 + objectives - 1, objectives - 1)
        if size > MOST:
            raise RecipeError(f"{text} with {objectives} objectives is {size} vectors", expected=f"at most {MOST}")
        return Design(tuple(_grid(count - 1, objectives)), size, text)
    corners_and_middle = objectives + 1
    if count < (corners_and_middle if kind == "adaptive" else objectives):
        raise RecipeError(
            f"{text} with {objectives} objectives",
            expected=f"at least {corners_and_middle if kind == 'adaptive' else objectives}: one vector for each "
            f"objective alone{', and one for all of them' if kind == 'adaptive' else ''}",
        )
    if kind == "simplex":
        return Design(tuple(_spread(count, objectives)), count, text)
    middle: Weights = (1.0 / objectives,) * objectives
    return Design((*_grid(1, objectives), middle), count, text)


def _grid(steps: int, objectives: int) -> list[Weights]:
    """All vectors of multiples of 1 / steps, from the first objective alone to the last (Das and Dennis 1998)."""
    bars = itertools.combinations(range(steps + objectives - 1), objectives - 1)
    rows = []
    for places in bars:
        ends = (-1, *places, steps + objectives - 1)
        rows.append(tuple((b - a - 1) / steps for a, b in itertools.pairwise(ends)))
    return rows[::-1]


def _spread(count: int, objectives: int) -> list[Weights]:
    """The corners, then again and again the point of a fine grid that is farthest from those chosen; for two
    objectives, equal steps."""
    if objectives == 2:
        return _grid(count - 1, 2)
    steps = 2
    while math.comb(steps + objectives - 1, objectives - 1) < 8 * count:
        steps *= 2
    grid = np.array(_grid(steps, objectives))
    chosen = [int(grid[:, k].argmax()) for k in range(objectives)]
    distance = np.linalg.norm(grid[:, None] - grid[chosen], axis=-1).min(1)
    while len(chosen) < count:
        chosen.append(int(distance.round(9).argmax()))
        distance = np.minimum(distance, np.linalg.norm(grid - grid[chosen[-1]], axis=-1))
    return [tuple(map(float, grid[i])) for i in chosen]
