"""The energy `regex`: how many matches are wanted, and how many there are."""

from __future__ import annotations

import re

import pytest

from sea_toolkit.energies.regex import Regex
from sea_toolkit.errors import RecipeError
from sea_toolkit.util import limited
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


SLOW = "^(a|aa)+$"
"""Takes exponential time for "aa…ab"."""


@pytest.mark.parametrize(
    ("options", "worst"),
    [({}, 1), ({"mode": "fullmatch"}, 1), ({"mode": "absent"}, 62), ({"mode": "count", "at_least": 3}, 3)],
)
def test_a_text_that_takes_too_long_costs_the_most_and_a_note_counts_it(options, worst, monkeypatch):
    monkeypatch.setattr(limited, "SECONDS", 0.02)
    energy = Regex(pattern=SLOW, **options)
    assert energy.score_text([""] * 2, ["aa", "a" * 60 + "b"])[1] == worst
    energy.score_text([""], ["a" * 60 + "b"])
    (note,) = energy.unjudged.notes
    assert note.startswith("regex: 2 texts could not be judged")


def test_the_note_is_one_of_the_term(monkeypatch):
    monkeypatch.setattr(limited, "SECONDS", 0.02)
    problem = problem_for(recipe={"energies": [{"name": "regex", "pattern": SLOW}]}, sampler="best-of-n")
    (term,) = problem.terms
    assert term.notes == []
    assert term.score_text(["p"], [["a" * 60 + "b"]]).tolist() == [[1.0]]
    assert term.notes == [
        "regex: 1 text could not be judged (in 0.02 s at most), and cost as much as the worst text of that length"
    ]


def test_braces_mean_what_they_mean_in_python():
    for pattern in ("a{e}", "a{i<=1}", "a{1<=e<=3}", r"\{e\}", "[{e}]", "{name}", "a{2}", "a{1,}"):
        for text in ("ab", "a{e}", "{e}", "a{i<=1}", "a{1<=e<=3}", "{name}", "aa", "e"):
            assert score(text, pattern=pattern) == float(re.search(pattern, text) is None), (pattern, text)


@pytest.mark.parametrize("pattern", ["((a{1000}){1000}){1000}", "a{100001}", "(" * 5000 + ")" * 5000, "a{99999999999}"])
def test_a_pattern_that_does_not_fit_into_memory_is_refused(pattern):
    with pytest.raises(RecipeError, match="no regular expression"):
        Regex(pattern=pattern)
