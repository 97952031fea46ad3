"""A sampler that cannot work with the energy or the relaxation is refused as soon as that is known, by its own name."""

from __future__ import annotations

from typing import Any

import pytest

from sea_toolkit.errors import PluginError, RecipeError
from sea_toolkit.hookspecs import hookimpl
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.problem.energy import Energy
from sea_toolkit.runs.compose import Composition, compose
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.samplers.base import Sampler
from sea_toolkit.testing.tiny import tiny_policy
from tests.helpers import hub, warmth


def texts_only(prompts, texts):
    """Costs per letter."""
    return [float(len(text)) for text in texts]


def composed(
    sampler: str, *, energies: Any = (), own: Any = None, relaxation: str | None = None, **more: Any
) -> Composition:
    data = {"energies": [{"name": "reference"}, *energies], "sampler": {"name": sampler, **more}}
    if relaxation:
        data["relaxation"] = {"name": relaxation}
    return compose(Recipe.parse(data), hub(), own)


def bound(composition: Composition) -> Any:
    return composition.bind(tiny_policy(), ModelFinder(hub()), ["a"])


class Late(Energy):
    """Scores texts alone, as it turns out when it is bound."""

    def bind(self, context):
        return texts_only


BLIND = {"letters": (1.0, texts_only)}
BOTH = BLIND | {"warmth": (1.0, warmth)}
REGEX = [{"name": "regex", "pattern": "a"}]


@pytest.mark.parametrize("sampler", ["tilted", "tilted-exact", "sea", "sea-adam", "mala", "psgld"])
def test_a_function_of_texts_is_refused_when_the_recipe_is_composed(sampler):
    with pytest.raises(RecipeError, match=f"sampler '{sampler}' needs gradients, and 'letters' .* only scores text"):
        composed(sampler, own=BLIND)


@pytest.mark.parametrize("sampler", ["tilted", "tilted-exact", "sea", "mala"])
def test_an_energy_without_a_gradient_is_refused_by_the_name_of_the_sampler_that_was_asked_for(sampler):
    with pytest.raises(
        RecipeError,
        match=f"sampler '{sampler}' needs gradients, and 'regex' \\(sea-alignment:regex\\) only scores text",
    ):
        composed(sampler, energies=REGEX)


@pytest.mark.parametrize("sampler", ["tilted", "tilted-exact", "discrete-langevin", "suffix-mh", "best-of-n", "smc"])
def test_terms_without_a_gradient_are_taken_where_enough_others_have_one(sampler):
    assert bound(composed(sampler, own=BOTH)).terms
    if sampler in ("discrete-langevin", "suffix-mh"):  # the reference has one, or none is needed
        assert bound(composed(sampler, own=BLIND)).terms


@pytest.mark.parametrize("sampler", ["sea", "mala", "sea-adam", "psgld"])
def test_one_term_without_a_gradient_is_too_many_for_those_that_follow_all(sampler):
    with pytest.raises(RecipeError, match="'letters'"):
        composed(sampler, own=BOTH)


def test_a_recipe_without_a_sampler_has_one_as_soon_as_the_energy_tells():
    named = [composed("auto", own=BLIND), composed("auto", own=BOTH), composed("auto", energies=REGEX)]
    assert [found.sampling and found.sampling.name for found in named] == ["best-of-n", "smc", "best-of-n"]
    late = composed("auto", own={"late": (1.0, Late())})
    assert late.sampling is None
    bound(late)
    assert late.sampling is not None
    assert late.sampling.name == "best-of-n"


def test_an_energy_that_tells_when_it_is_bound_is_refused_then():
    late = composed("mala", own={"late": (1.0, Late())})
    with pytest.raises(RecipeError, match="sampler 'mala' needs gradients, and 'late'"):
        bound(late)


@pytest.mark.parametrize(
    ("sampler", "relaxation", "message"),
    [
        ("mala", "gumbel-softmax", "'mala' needs a deterministic relaxation, and 'gumbel-softmax' draws noise"),
        ("sea-adam", "embedding", "'sea-adam' needs a relaxation of logits, and 'embedding' works on points"),
    ],
)
def test_a_relaxation_that_does_not_fit_is_refused_when_the_recipe_is_composed(sampler, relaxation, message):
    with pytest.raises(RecipeError, match=message):
        composed(sampler, own={"warmth": (1.0, warmth)}, relaxation=relaxation)
    assert composed("sea", own={"warmth": (1.0, warmth)}, relaxation=relaxation).sampling is not None


def test_a_set_of_chains_needs_a_sampler_that_moves_them_together():
    diverse = [{"name": "diversity"}]
    with pytest.raises(RecipeError, match="'mala' accepts or keeps them one by one") as caught:
        composed("mala", energies=diverse)
    assert caught.value.expected == "a sampler that moves them together: psgld, sea, sea-adam"
    with pytest.raises(RecipeError, match="and there is one"):
        composed("sea", energies=diverse, chains=1)
    assert composed("sea", energies=diverse).joint == ["diversity"]


def test_a_sampler_that_does_not_derive_from_the_base_is_refused_before_anything_is_loaded():
    class Plugin:
        @hookimpl
        def sea_register_samplers(self, register):
            register("walk", type("Walk", (), dict.fromkeys(("init", "step", "current"), lambda self, *given: None)))

    with (
        pytest.raises(PluginError, match="plugin 'mine' of temporary") as caught,
        hub().temporarily(Plugin(), name="mine"),
    ):
        composed("walk", own=BOTH)
    assert Sampler.__name__ in str(caught.value)
