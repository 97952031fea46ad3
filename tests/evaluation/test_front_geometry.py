"""Fronts, hypervolumes and knees against their definitions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sea_toolkit.evaluation.front_geometry import hypervolume, knee, nondominated


def points(most: int = 7, low: float = -1.0) -> st.SearchStrategy[np.ndarray]:
    """Up to `most` points of 1 to 4 numbers; whole numbers, so that many are equal in something."""
    numbers = st.one_of(st.integers(int(low), 4).map(float), st.floats(low, 4, width=16))
    shapes = st.tuples(st.integers(0, most), st.integers(1, 4))
    return shapes.flatmap(lambda shape: arrays(np.float64, shape, elements=numbers))


@given(points())
def test_the_front_is_what_nothing_dominates(found: np.ndarray) -> None:
    def dominates(a: np.ndarray, b: np.ndarray) -> bool:
        return bool((a >= b).all() and (a > b).any())

    front = nondominated(found)
    assert front.tolist() == [not any(dominates(a, b) for a in found) for b in found]
    assert front.any() or not len(found)
    assert all(any((a >= b).all() for a in found[front]) for b in found)


@given(points(6))
def test_the_hypervolume_is_that_of_inclusion_and_exclusion(found: np.ndarray) -> None:
    """The union of boxes, with the intersection of several boxes as the box of their smallest numbers."""
    total = 0.0
    for size in range(1, len(found) + 1):
        for some in itertools.combinations(found, size):
            total += (-1) ** (size + 1) * np.clip(np.min(some, axis=0), 0, None).prod()
    assert hypervolume(found) == pytest.approx(total, abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(points(12, 0.0), st.integers(0, 2**32 - 1))
def test_the_hypervolume_is_what_a_random_point_falls_into(found: np.ndarray, seed: int) -> None:
    dimensions, draws = found.shape[1], 4000
    at = np.random.default_rng(seed).uniform(0, 4, (draws, dimensions))
    covered = (at[:, None] < found[None]).all(-1).any(-1).mean() if len(found) else 0.0
    share = hypervolume(found) / 4.0**dimensions
    assert covered == pytest.approx(share, abs=5 * (share * (1 - share) / draws) ** 0.5 + 1e-9)


@given(points(6))
def test_a_further_point_never_takes_volume_away(found: np.ndarray) -> None:
    volumes = [hypervolume(found[:n]) for n in range(len(found) + 1)]
    assert all(b >= a - 1e-12 for a, b in itertools.pairwise(volumes))


def test_the_knee_is_where_the_front_bends_and_not_below_it() -> None:
    front = np.array([[0.0, 10.0], [6.0, 9.0], [8.0, 5.0], [10.0, 0.0], [5.0, 5.0]])
    assert knee(front) == 1  # 6/10 + 9/10
    assert knee(front * [100.0, 1.0] + [3.0, -7.0]) == 1  # whatever the units
    assert knee(front[[4]]) == 0
    assert knee(np.array([[1.0, 1.0], [2.0, 2.0]])) == 1


@given(points().filter(len))
def test_the_knee_is_on_the_front(found: np.ndarray) -> None:
    assert nondominated(found)[knee(found)]
