"""The energy `regex`: how many matches are wanted, and how many there are."""

from __future__ import annotations

import pytest

from sea_toolkit.energies.regex import Regex
from sea_toolkit.errors import RecipeError
from tests.helpers import hub, problem_for


def score(text, **options):
    return Regex(**options).score_text([""], [text])[0]


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        ({}, "no number", 1),
        ({}, "12 and 13", 0),
        ({"mode": "search"}, "12 and 13", 0),
        ({"mode": "fullmatch"}, " 12\n", 0),
        ({"mode": "fullmatch"}, "12 and 13", 1),
        ({"mode": "absent"}, "12 and 13", 2),
        ({"mode": "absent"}, "none", 0),
        ({"mode": "count", "at_least": 3}, "12 and 13", 1),
        ({"mode": "count", "at_least": 3}, "", 3),
        ({"mode": "count", "at_most": 1}, "12 and 13", 1),
        ({"mode": "count", "at_most": 1}, "12", 0),
        ({"mode": "count", "at_least": 1, "at_most": 2}, "1 2 3 4", 2),
        ({"mode": "count", "at_least": 1, "at_most": 2}, "1 2", 0),
    ],
)
def test_distance_of_the_number_of_matches(options, text, expected):
    assert score(text, pattern=r"\d+", **options) == expected


def test_flags_stand_in_the_pattern():
    assert score("Rain", pattern="rain") == 1
    assert score("Rain", pattern="(?i)rain") == 0


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"pattern": "(a"}, "no regular expression"),
        ({"pattern": "a", "at_most": 2}, 'mode = "count"'),
        ({"pattern": "a", "mode": "count"}, "without limits"),
        ({"pattern": "a", "mode": "count", "at_least": 3, "at_most": 2}, "above"),
        ({"pattern": ""}, "pattern"),
        ({"pattern": "a", "mode": "match"}, "mode"),
        ({"pattern": "a", "mode": "count", "at_least": -1}, "at_least"),
    ],
)
def test_what_means_nothing_is_refused(options, word):
    with pytest.raises(RecipeError, match=word):
        hub().get("energy", "regex").build(options)


def test_in_a_recipe_it_has_no_gradient_and_best_of_n_takes_it():
    problem = problem_for(
        recipe={"energies": [{"name": "regex", "pattern": "a"}], "sampler": {"name": "auto"}}, sampler="auto"
    )
    (term,) = problem.terms
    assert not term.differentiable
    assert term.score_text(["p"], [["a", "b"]]).tolist() == [[0.0, 1.0]]
