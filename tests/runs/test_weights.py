"""Weights that follow a schedule: texts of different steps are compared by the weights at the end of the run."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import torch

from sea_toolkit.api import align
from sea_toolkit.core.clock import Clock
from sea_toolkit.core.noise import Noise
from sea_toolkit.errors import RecipeError
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.weighing import Weighing, Weight
from sea_toolkit.runs.result import Result
from sea_toolkit.testing.setting import bound_problem
from sea_toolkit.testing.tiny import tiny_reward
from tests.helpers import hub, random_ids, tiny_policy


def bound(energies: list[dict[str, Any]]) -> Problem:
    return bound_problem(hub(), tiny_policy(), ["the rain"], chains=4, length=8, energies=energies)[1]


def test_the_choice_follows_the_last_weights() -> None:
    growing = {"schedule": "linear", "start": 0.0, "end": 6.0}
    energies = [{"name": "reference"}, {"name": "length", "target": 3, "tolerance": 1.0, "weight": growing}]
    recipe = {"energies": energies, "sampler": {"name": "best-of-n", "steps": 4, "chains": 8}, "max_new_tokens": 10}
    result = align("the rain in the town", recipe=recipe, policy=tiny_policy(), hub=hub())
    assert len(result.candidates) > 8
    for candidate in result.candidates:
        expected = candidate.terms["reference"] + 6.0 * candidate.terms["length"]
        assert abs(candidate.energy - expected) < 1e-4
    assert result.energy[1] == min(c.energy for c in result.candidates)
    assert result.energy[0] in [c.energy for c in result.candidates]


LENGTH = {"name": "length", "target": 3, "tolerance": 1.0}
TWO = [{"name": "reference"}, LENGTH | {"weight": {"column": "brevity"}}]


def _run(prompts: Any, energies: Any = None, own: Any = None, **sampler: Any) -> list[Result]:
    recipe = {"energies": energies or TWO, "sampler": {"chains": 8} | sampler, "max_new_tokens": 10}
    found = align(prompts, recipe=recipe, energies=own, policy=tiny_policy(), hub=hub())
    return found if isinstance(found, list) else [found]


@pytest.mark.parametrize("name", ["best-of-n", "suffix-mh", "smc", "sea", "tilted"])
def test_a_prompt_that_is_asked_twice_has_the_weights_of_its_rows(name: str) -> None:
    rows = [{"prompt": "the rain", "brevity": weight} for weight in (0.0, "5")]
    own = {"liked": (1.0, tiny_reward())} if name == "tilted" else None
    free, brief = _run(rows, own=own, name=name, steps=2)
    assert (free.weights["length"], brief.weights["length"]) == (0.0, 5.0)
    for result, weight in ((free, 0.0), (brief, 5.0)):
        for c in result.candidates:
            rest = sum(v for k, v in c.terms.items() if k != "length")
            assert c.energy == pytest.approx(rest + weight * c.terms["length"], rel=1e-5, abs=1e-4)


def test_a_row_gives_what_a_recipe_with_that_weight_gives() -> None:
    rows = [{"prompt": "the rain", "brevity": 5.0}, {"prompt": "a town", "brevity": 0.5}]
    for row in rows:
        alone = _run(row["prompt"], [TWO[0], LENGTH | {"weight": row["brevity"]}], name="suffix-mh", steps=4)
        assert alone[0].candidates == _run(row, name="suffix-mh", steps=4)[0].candidates
    both = _run(rows, name="suffix-mh", steps=4)
    assert [r.weights["length"] for r in both] == [5.0, 0.5]


def test_a_term_counts_in_its_part_of_the_run_alone() -> None:
    problem = bound([{"name": "reference"}, LENGTH | {"weight": 3.0, "active": [0.25, 0.5]}])
    term = problem.terms[1]
    found = []
    for progress in (0.0, 0.25, 0.49, 0.5, 1.0):
        problem.clock.progress = progress
        found.append(problem.weight(term).tolist())
    assert found == [[[0.0]], [[3.0]], [[3.0]], [[0.0]], [[0.0]]]
    assert not term.weight.is_constant
    late = bound([{"name": "reference"}, LENGTH | {"active": [0.5, 1.0]}]).weights_at(Clock(progress=1.0))
    assert late == [{"reference": 1.0, "length": 1.0}]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [{"prompt": "a", "brevity": 1}, {"prompt": "b", "brevity": " "}],
            "'brevity', and prompt 2 ('b') has a blank there",
        ),
        ([{"prompt": "a", "brevity": "much"}], "and prompt 1 ('a') has 'much' there"),
        ([{"prompt": "a", "brevity": True}], "and prompt 1 ('a') has True there"),
        ([{"prompt": "a", "brevity": float("inf")}], "and prompt 1 ('a') has inf there"),
        (["a"], "'brevity', and prompt 1 ('a') has no columns"),
    ],
)
def test_a_cell_that_is_no_weight_is_named(rows: Any, said: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(said)):
        _run(rows, name="best-of-n", steps=1)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"weight": {"column": ""}}, r"energies\[1\]\.weight is"),
        ({"weight": {"column": "x", "start": 1.0}}, r"energies\[1\]\.weight is"),
        ({"active": [0.5, 0.5]}, r"energies\[1\]\.active is from 0.5 to 0.5"),
        ({"active": [0.5, 1.5]}, "active"),
        ({"active": 0.5}, "active"),
    ],
)
def test_a_wrong_weight_is_named(more: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        _run("a", [TWO[0], LENGTH | more], name="best-of-n", steps=1)


def test_what_is_measured_is_measured_once_and_kept() -> None:
    problem = bound([{"name": "reference"}, LENGTH])
    term = replace(problem.terms[0], weight=Weight(number=2.0, scale=None))
    problem = replace(problem, terms=[term, problem.terms[1]])
    weighing = problem.run.weighing
    weighing.noise = Noise.for_prompts(problem.prompts, 0)
    first = problem.weight(term)
    assert first.tolist() == [[pytest.approx(2.0 / weighing.scales["reference"].deviation)]]
    assert problem.ledger.flops > 0
    assert not bool(problem.stopped.any())
    scored = problem.score_as_text(random_ids(1, 4, problem.length))
    assert torch.equal(problem.weight(term), first)
    assert torch.allclose(scored.energies.total, problem.total_energy(scored.energies.values()))
    other = Weighing()
    other.load_state(weighing.state())
    assert other.scales == weighing.scales
    assert not other.missing(problem.terms)
