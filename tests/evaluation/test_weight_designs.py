"""The weights of a sweep: designs on the simplex, and where an adaptive sweep adds one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.adaptive_weights import next_weights
from sea_toolkit.evaluation.weight_designs import design_of, weights_of


@given(st.sampled_from(["grid", "simplex", "adaptive"]), st.integers(5, 14), st.integers(2, 4))
def test_every_design_holds_different_weights_that_sum_to_one_with_each_objective_alone(
    kind: str, count: int, objectives: int
) -> None:
    design = design_of(f"{kind}:{count}", objectives)
    first = np.array(design.first)
    assert first.min() >= 0
    assert np.allclose(first.sum(1), 1)
    assert len({tuple(row.round(9)) for row in first}) == len(first)
    assert all((first == corner).all(1).any() for corner in np.eye(objectives))
    sizes = {"grid": math.comb(count + objectives - 2, objectives - 1), "simplex": count, "adaptive": objectives + 1}
    assert len(first) == sizes[kind]
    assert design.most == (count if kind == "adaptive" else len(first))


def test_two_objectives_go_in_equal_steps() -> None:
    steps = ((1.0, 0.0), (0.75, 0.25), (0.5, 0.5), (0.25, 0.75), (0.0, 1.0))
    assert design_of("grid:5", 2).first == design_of(["simplex:5"], 2).first == steps


def test_a_simplex_design_keeps_its_points_apart() -> None:
    first = np.array(design_of("simplex:10", 3).first)
    gaps = [np.linalg.norm(a - b) for a, b in itertools.combinations(first, 2)]
    assert min(gaps) > 0.35  # the lattice of ten points has gaps of 0.47, random points of about 0.1


def test_vectors_are_divided_by_their_sums() -> None:
    design = design_of(["1,0", "1,3", (2, 2)], 2)
    assert design.first == ((1.0, 0.0), (0.25, 0.75), (0.5, 0.5))
    assert not design.is_adaptive


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["0,0"], "all 0"),
        (["1,0,0"], "3 numbers for 2 objectives"),
        (["1,-1"], "at least 0"),
        (["1,nan"], "at least 0"),
        (["1,1", "2,2"], "there twice"),
        ([], "no weights"),
        ("grid:1", "N from 2"),
        ("grid:x", "N from 2"),
        ("gird:5", "grid:5, simplex:9"),
        ("even", "grid:5, simplex:9"),
        ("grid:2000", "N from 2 to"),
        ("adaptive:2", "at least 3"),
        (["grid:3", "1,0"], "one design, or vectors alone"),
        ([3], "grid:5, simplex:9"),
    ],
)
def test_what_is_no_design_is_refused(asked: object, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        design_of(asked, 2)  # type: ignore[arg-type]


def test_a_large_grid_of_many_objectives_is_refused() -> None:
    with pytest.raises(RecipeError, match="2002 vectors"):
        design_of("grid:10", 6)


def test_the_widest_gap_of_two_objectives_is_halved() -> None:
    tried = list(design_of("adaptive:9", 2).first)  # (1, 0), (0, 1), (1/2, 1/2)
    flat_then_steep = np.array([[10.0, 0.0], [0.0, 1.0], [9.0, 0.5]])
    assert next_weights(tried, flat_then_steep, 1) == [(0.25, 0.75)]
    # the middle of a gap is taken to lie halfway, so that the halves of a very wide one are widest, too
    assert next_weights(tried, flat_then_steep, 3) == [(0.25, 0.75), (0.375, 0.625), (0.125, 0.875)]


def test_what_a_weight_gave_decides_where_the_next_one_goes() -> None:
    tried = [*design_of("adaptive:9", 2).first, (0.25, 0.75)]
    assert next_weights(tried, np.array([[10.0, 0.0], [0.0, 1.0], [9.0, 0.5], [0.5, 1.0]]), 1) == [(0.375, 0.625)]


def test_a_front_without_gaps_gets_no_more_weights() -> None:
    assert next_weights(list(design_of("adaptive:9", 3).first), np.zeros((4, 3)), 4) == []


@given(st.integers(2, 4), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_new_weights_are_new_and_on_the_simplex_whatever_they_give(objectives: int, rounds: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tried = list(design_of(f"adaptive:{objectives + 1}", objectives).first)
    for _ in range(rounds):
        new = next_weights(tried, rng.normal(size=(len(tried), objectives)), 2)
        assert len(new) == 2
        assert not set(new) & set(tried)
        assert all(min(v) >= 0 and sum(v) == pytest.approx(1) for v in new)
        tried += new
    assert len(set(tried)) == len(tried)


def test_weights_may_be_texts_or_numbers() -> None:
    assert weights_of("1, 3", 2) == weights_of([0.5, 1.5], 2) == (0.25, 0.75)
