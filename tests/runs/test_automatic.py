"""Which sampler a recipe takes that names none: each line of the table in docs/samplers.md, and the borders between."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sea_toolkit.runs.automatic import choice
from sea_toolkit.runs.compose import compose
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.runs.requirements import TermFacts
from tests.helpers import hub, warmth

LENGTH = {"name": "length", "target": 9}
LIMIT = {"name": "perplexity", "max": 20.0}
RISING = {"schedule": "linear", "start": 0.0, "end": 1.0}


def recipe(*energies: dict[str, Any], **more: Any) -> Recipe:
    return Recipe.parse({"energies": [{"name": "reference"}, *energies], **more})


def chosen(*energies: dict[str, Any], own: Any = None, **more: Any) -> tuple[str, str]:
    composition = compose(recipe(*energies, **more), hub(), own)
    found = choice(composition.recipe, [part.facts for part in composition.parts])
    assert found is not None
    return found.sampler, found.why


def test_what_tells_which_words_to_prefer_gets_particles():
    assert chosen(LENGTH) == ("smc", "a gradient tells which words are preferred by length")
    assert chosen(own={"warmth": (1.0, warmth)})[0] == "smc"


@pytest.mark.parametrize(
    ("sampler", "name"),
    [
        ({"budget": 15}, "tilted"), ({"budget": 16}, "smc"), ({"budget": 63, "chains": 4}, "tilted"),
        ({"budget": 64, "chains": 4}, "smc"), ({"chains": 2}, "smc"), ({"chains": 3}, "tilted"),
        ({"steps": 8}, "tilted"),
    ],
)  # fmt: skip
def test_few_samples_for_each_chain_go_step_by_step(sampler, name):
    assert chosen(LENGTH, sampler={"name": "auto", **sampler})[0] == name


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"constraints": [LIMIT]}, "perplexity limit counts is found or changes"),
        ({"constraints": [LIMIT | {"method": "hinge"}]}, None),
        ({"initializer": {"name": "draft", "text": "a b"}}, "goes on from the texts of draft"),
        ({"sampler": {"steps": 3}}, "counts steps"),
        ({"sampler": {"budget": 8}}, "8 samples for each chain are few"),
    ],
)
def test_what_needs_many_steps_gets_them(more, reason):
    name, why = chosen(LENGTH, **more)
    assert (name, reason is None or reason in why) == ("smc" if reason is None else "tilted", True), why


@pytest.mark.parametrize("more", [{"weight": RISING}, {"active": (0.0, 0.5)}, {"target": {**RISING, "end": 9.0}}])
def test_a_term_that_changes_on_the_way_needs_steps(more):
    assert chosen(LENGTH | more)[0] == "tilted"


def test_a_weight_of_the_prompts_table_is_no_change_on_the_way():
    assert chosen(LENGTH | {"weight": {"column": "w"}})[0] == "smc"


def test_texts_that_are_only_scored_are_drawn_by_the_policy_unless_a_compass_tilts_them():
    blind = TermFacts("words", "some:words", is_policy=False, has_gradient=False, joint=False)
    found = choice(recipe(), [blind])
    assert found is not None
    assert found.sampler == "best-of-n"
    guided = choice(recipe(), [dataclasses.replace(blind, has_compass=True)])
    assert guided is not None
    assert (guided.sampler, "compass alone" in guided.why) == ("tilted", True)
    sloped = choice(recipe(), [dataclasses.replace(blind, has_compass=True, has_gradient=True)])
    assert sloped is not None
    assert sloped.sampler == "smc"


def test_texts_whose_beginnings_tell_what_they_will_be_worth_are_taken_by_particles():
    early = TermFacts("words", "some:words", is_policy=False, has_gradient=False, joint=False, tells_early=True)
    found = choice(recipe(), [early])
    assert found is not None
    assert (found.sampler, "the beginning of an answer tells" in found.why) == ("smc", True)
    late = dataclasses.replace(early, label="verdict", tells_early=False)
    for terms, more in (
        ([early, late], {}),
        ([early], {"sampler": {"steps": 3}}),
        ([dataclasses.replace(early, moves=True)], {}),
    ):
        found = choice(recipe(**more), terms)
        assert found is not None
        assert found.sampler == "best-of-n"


@pytest.mark.parametrize(
    ("pattern", "sampler"),
    [
        ({"mode": "count", "at_least": 3}, "smc"),
        ({"mode": "absent"}, "smc"),
        ({"mode": "search"}, "best-of-n"),
        ({"mode": "fullmatch"}, "best-of-n"),
    ],
)
def test_matches_that_are_counted_can_be_counted_in_a_beginning(pattern, sampler):
    assert chosen({"name": "regex", "pattern": "e", **pattern})[0] == sampler


def test_nothing_is_chosen_before_what_decides_is_known():
    late = TermFacts("late", "some:late", is_policy=False, has_gradient=None, joint=False)
    sure = dataclasses.replace(late, label="sure", has_gradient=True)
    assert choice(recipe(), [late]) is None
    assert choice(recipe(), [late, sure]) is not None
    named = choice(recipe(sampler={"name": "sea"}), [late])
    assert named is not None
    assert (named.sampler, named.why) == ("sea", "the recipe names it")


def test_the_policy_alone_with_a_power_follows_its_law():
    policy = TermFacts("reference", "core:reference", is_policy=True, has_gradient=True, joint=False)
    found = choice(recipe(), [policy])
    assert found is not None
    assert found.sampler == "suffix-mh"
