"""Recipes: every mistake is found before a weight is loaded, and told in a person's words."""

from __future__ import annotations

import json

import pytest
import torch

from sea_toolkit.api import align
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.runs.compose import compose
from sea_toolkit.runs.overrides import build_recipe
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.testing.tiny import EOS
from tests.helpers import PROMPTS, hub, noise_for, problem_for, random_ids, run_for, tiny_policy, warmth

LENGTH = [{"name": "length", "target": 3.0}]
SEA = {"name": "sea"}

MISTAKES = {
    "unknown key": ({"polcy": {}}, "unknown key 'polcy'.*'policy'"),
    "unknown nested key": ({"policy": {"modle": "x"}}, r"unknown key 'policy\.modle'.*'model'"),
    "chains 0": ({"sampler": {"name": "sea", "chains": 0}}, "sampler.chains is 0.*greater than 0"),
    "half a step": ({"sampler": {"steps": 2.5}}, "sampler.steps is 2.5.*integer"),
    "endless": ({"sampler": {"budget": float("inf")}}, "sampler.budget is inf.*finite"),
    "weight of words": ({"energies": [{"name": "length", "weight": "x"}]}, r"energies\[0\]\.weight is 'x'.*number"),
    "weight nan": ({"energies": [{"name": "length", "weight": float("nan")}]}, "weight is nan.*finite"),
    "no name": ({"energies": [{"weight": 1.0}]}, r"energies\[0\]\.name is nothing"),
    "no list": ({"energies": {"name": "length"}}, "energies is .*list"),
    "a bool for a number": ({"max_new_tokens": True}, "max_new_tokens is True"),
    "dtype": ({"policy": {"dtype": "float64"}}, "policy.dtype is 'float64'"),
    "unknown sampler": ({"sampler": {"name": "see"}}, "sampler 'see' does not exist.*'sea'"),
    "unknown option": ({"sampler": {"name": "sea", "stepsize": 1}}, "unknown option 'stepsize'.*'step_size'"),
    "option of another type": ({"sampler": {"name": "sea", "step_size": "x"}}, "option 'step_size' is 'x'"),
    "option out of range": ({"sampler": {"name": "sea", "step_size": -1.0}}, "'step_size' is -1.0.*greater than 0"),
    "steps and budget": ({"sampler": {"name": "sea", "steps": 3, "budget": 4.0}}, "steps = 3 and budget = 4.0.*one of"),
    "options without a sampler": ({"sampler": {"step_size": 4.0}}, "without naming a sampler"),
    "unknown schedule": (
        {"sampler": SEA | {"step_size": {"schedule": "cosin", "start": 1.0, "end": 0.1}}},
        r"sampler\.step_size.*'cosin' does not exist.*'cosine'",
    ),
    "schedule option": (
        {"sampler": SEA | {"step_size": {"schedule": "linear", "strt": 1.0, "end": 0.1}}},
        "unknown option 'strt'.*'start'",
    ),
    "a number for a schedule's name": (
        {"sampler": SEA | {"step_size": {"schedule": 3}}},
        "sampler.step_size.schedule is 3",
    ),
    "a table": ({"sampler": SEA | {"step_size": {"start": 1.0}}}, "sampler.step_size is a table without a schedule"),
    "fixed option": (
        {"sampler": SEA | {"check_every": {"schedule": "constant", "value": 5.0}}},
        "'check_every' is a schedule.*fixed",
    ),
    "unknown relaxation": ({"sampler": SEA, "relaxation": {"name": "sofmax"}}, "'sofmax' does not exist.*'softmax'"),
    "relaxation option": (
        {"sampler": SEA, "relaxation": {"name": "softmax", "temprature": 1.0}}, "'temprature'.*'temperature'",
    ),
    "top_k": ({"sampler": SEA, "relaxation": {"name": "softmax", "top_k": -1}}, "top_k is -1"),
    "relaxation for best-of-n": (
        {"sampler": {"name": "best-of-n"}, "relaxation": {"name": "softmax"}}, "'best-of-n' relaxes nothing",
    ),
    "unknown initializer": ({"initializer": {"name": "base-sample"}}, "'base-sample' does not exist.*'base-samples'"),
    "draft without text": ({"initializer": {"name": "draft"}}, "missing option text"),
    "unknown energy": ({"energies": [{"name": "lenght"}]}, r"energies\[0\].*'lenght' does not exist.*'length'"),
    "missing option": ({"energies": [{"name": "length"}]}, "missing option target"),
    "negative target": ({"energies": [{"name": "length", "target": -3.0}]}, "'target' is -3.0"),
    "no limit": ({"constraints": LENGTH}, r"constraints\[0\] \(length\) has no limit"),
    "empty range": ({"constraints": [LENGTH[0] | {"min": 3.0, "max": 1.0}]}, "min = 3 is above max = 1"),
    "no reward": ({"energies": [{"name": "reference"}]}, "no reward was given.*harmlessness, sentiment, toxicity"),
    "no energy": ({"energies": []}, "no reward was given.*sentiment"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_found_when_a_recipe_is_composed(case):
    data, message = MISTAKES[case]
    with pytest.raises(RecipeError, match=f"(?s){message}"):
        compose(Recipe.parse({"energies": LENGTH} | data), hub())


def test_an_unknown_reward_is_told_with_the_ones_there_are():
    with pytest.raises(ModelError, match=r"(?s)'sentimnt'.*'sentiment'"):
        align("hi", reward="sentimnt", policy=tiny_policy(), hub=hub(), steps=1)


def test_toml(tmp_path):
    file = tmp_path / "r.toml"
    file.write_text(
        'sampler = { name = "sea", chains = 3, step_size = { schedule = "linear", start = 1.0, end = 0.5 } }\n'
        'energies = [ { name = "length", target = 3, weight = 2 } ]\nseed = 4\n'
    )
    recipe = Recipe.load(file)
    assert recipe.sampler.chains == 3
    assert recipe.energies[0].weight == 2
    assert Recipe.parse(recipe.model_dump(exclude_none=True)) == recipe
    file.write_text("seed = = 4")
    with pytest.raises(RecipeError, match=r"r\.toml is not TOML"):
        Recipe.load(file)
    file.write_text("sed = 4")
    with pytest.raises(RecipeError, match=r"r\.toml: unknown key 'sed'"):
        Recipe.load(file)
    with pytest.raises(RecipeError, match=r"none\.toml cannot be read: No such file"):
        Recipe.load(tmp_path / "none.toml")


# --- flags over a recipe


def test_flags_are_laid_over_a_recipe():
    base = {"sampler": {"name": "sea", "budget": 30.0, "chains": 2, "step_size": 0.5}, "energies": LENGTH, "seed": 3}
    assert build_recipe(base, None, {}) == Recipe.parse(base)
    found = build_recipe(base, {"sentiment": 8}, {"steps": 5, "seed": None, "model": "m", "max_new_tokens": 7})
    assert (found.sampler.steps, found.sampler.budget, found.sampler.chains) == (5, None, 2)
    assert found.sampler.options == {"step_size": 0.5}
    assert (found.seed, found.policy.model, found.max_new_tokens) == (3, "m", 7)
    assert [e.name for e in found.energies] == ["reference", "length", "reward"]
    assert found.energies[2].weight == 8
    assert base["sampler"] == {"name": "sea", "budget": 30.0, "chains": 2, "step_size": 0.5}

    other = build_recipe(base, None, {"sampler": "best-of-n"})
    assert (other.sampler.name, other.sampler.budget, other.sampler.options) == ("best-of-n", 30.0, {})
    same = build_recipe(base, None, {"sampler": "sea"})
    assert same.sampler.options == {"step_size": 0.5}
    table = build_recipe(base, None, {"sampler": {"name": "sea", "steps": 4}})
    assert (table.sampler.steps, table.sampler.budget) == (4, None)


def test_the_reference_is_added_once():
    for name in ("reference", "sea-alignment:reference"):
        found = build_recipe({"energies": [{"name": name, "weight": 2.0}]}, "sentiment", {})
        assert [(e.name, e.weight) for e in found.energies] == [(name, 2.0), ("reward", 1.0)]
    assert build_recipe({"energies": LENGTH}, None, {}).energies[0].name == "length"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"chain": 3}, "unknown setting 'chain'.*'chains'"),
        ({"chains": 0}, "sampler.chains is 0"),
        ({"steps": 3, "budget": 5}, "steps = 3 and budget = 5.*one of them"),
        ({"seed": "x"}, "seed is 'x'"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(RecipeError, match=f"(?s){message}"):
        build_recipe({"energies": LENGTH}, None, settings)


@pytest.mark.parametrize(
    "base", [{"energies": [{"weight": 1.0}]}, {"energies": {"a": 1}}, {"sampler": "sea"}, {"sed": 1}]
)
def test_a_recipe_of_the_wrong_form_is_refused_before_flags_are_laid_over_it(base):
    with pytest.raises(RecipeError):
        build_recipe(base, "sentiment", {"chains": 2, "sampler": "sea"})


def test_a_weight_that_is_not_finite():
    with pytest.raises(RecipeError, match="weight is nan"):
        build_recipe(None, {"sentiment": float("nan")}, {})


def test_no_prompts_and_empty_prompts():
    for prompts, message in (([], "no prompts"), ([" "], "prompt 1 is empty")):
        with pytest.raises(RecipeError, match=message):
            align(prompts, policy=tiny_policy(), hub=hub(), energies={"w": (1.0, warmth)})


# --- schedules


def test_every_number_of_a_recipe_can_follow_a_schedule(tmp_path):
    line = {"schedule": "linear", "start": 1.0, "end": 0.2}
    recipe = {
        "sampler": {"name": "sea", "steps": 5, "step_size": line, "check_every": 1},
        "relaxation": {"name": "softmax", "temperature": line},
        "energies": [
            {"name": "reference"},
            {
                "name": "length",
                "target": {"schedule": "linear", "start": 2.0, "end": 6.0},
                "weight": line,
                "tolerance": 1.0,
            },
        ],
    }
    run = run_for(tmp_path, recipe=recipe, energies={}, prompts=PROMPTS[:1])
    run.execute()
    lines = [json.loads(x) for x in (tmp_path / "trace.jsonl").read_text().splitlines()]
    sizes = [x["step_size"][0][0] for x in lines[1:]]
    assert sizes == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])
    for i, x in enumerate(lines[1:]):
        for c in range(2):
            total = x["terms"]["reference"][0][c] + sizes[i] * x["terms"]["length"][0][c]
            assert x["energy"][0][c] == pytest.approx(total, rel=1e-4)
            length = len(run.problem.policy.tokenizer(x["texts"][0][c]).input_ids)
            costs = [0.5 * (n - (2.0 + i)) ** 2 for n in (length, length + 1)]  # with or without an end of text
            assert any(x["terms"]["length"][0][c] == pytest.approx(cost, abs=1e-4) for cost in costs)


def test_the_relaxation_sees_the_temperature_of_now():
    line = {"schedule": "linear", "start": 2.0, "end": 0.5}
    problem = problem_for(
        recipe={"energies": LENGTH, "relaxation": {"name": "softmax", "temperature": line, "top_k": 0}, "sampler": SEA}
    )
    z = torch.randn(1, 2, 10, 128, generator=torch.Generator().manual_seed(0))
    for progress, temperature in ((0.0, 2.0), (1.0, 0.5)):
        problem.clock.progress = progress
        found = problem.relax(z, None, noise_for(problem)).weights
        torch.testing.assert_close(found, (z / temperature).softmax(-1))
    assert problem.top_k is None


def test_what_was_met_under_other_weights_is_weighed_again(tmp_path):
    """The weight of warmth rises; the result's energies are those of the last weights, and the lowest is chosen."""
    recipe = {
        "sampler": {"name": "best-of-n", "steps": 6},
        "energies": [
            {"name": "reference", "weight": {"schedule": "linear", "start": 1.0, "end": 0.0}},
            LENGTH[0] | {"weight": {"schedule": "linear", "start": 0.0, "end": 1.0}},
        ],
    }
    for result in run_for(recipe=recipe, energies={}).execute():
        for before_after in (0, 1):
            assert result.energy[before_after] == pytest.approx(result.terms["length"][before_after], abs=1e-5)
        energies = [c.energy for c in result.candidates]
        assert energies == sorted(energies)
        assert result.energy[1] == energies[0] == min(c.terms["length"] for c in result.candidates)
        for chain in result.chains:
            assert chain["energy"] <= chain["start_energy"]


# --- constraints


def test_a_constraint_reads_the_energy_and_a_hinge_weighs_what_is_outside():
    hinge = {"name": "length", "target": 4.0, "tolerance": 1.0, "max": 2.0, "method": "hinge"}
    problem = problem_for(recipe={"energies": LENGTH, "constraints": [hinge]})
    plain, limit = problem.terms
    assert (plain.label, limit.label, limit.weight.number) == ("length", "length limit", 100.0)
    ids = random_ids(1, 2, 10)
    ids[0, 0, 4:] = EOS  # 5 tokens: ½ (5 − 4)², inside; the other has 10: ½ (10 − 4)² = 18, outside by 16
    reading = limit(SoftResponse.from_ids(ids, (EOS,)))
    assert reading.tolist() == [[0.5, 18.0]]
    assert problem.score_as_text(ids)
    assert problem.weighted(limit, reading).tolist() == [[0.0, 1600.0]]


def test_equal_names_get_numbers():
    terms = problem_for(recipe={"energies": [*LENGTH, *LENGTH, LENGTH[0] | {"label": "mine"}]}).terms
    assert [t.label for t in terms] == ["length", "length#2", "mine"]


def test_a_label_of_the_users_stays_and_a_made_one_makes_way():
    energies = [LENGTH[0], LENGTH[0] | {"label": "length"}, LENGTH[0] | {"label": "length#2"}, LENGTH[0]]
    terms = problem_for(recipe={"energies": energies}).terms
    assert [t.label for t in terms] == ["length#3", "length", "length#2", "length#4"]


@pytest.mark.parametrize("other", ["energies", "constraints", "own"])
def test_two_terms_with_one_label_of_the_users_are_refused(other):
    recipe = {"energies": [LENGTH[0] | {"label": "short"}]}
    more = LENGTH[0] | {"label": "short"} | ({"max": 1.0} if other == "constraints" else {})
    own = {"short": (1.0, warmth)} if other == "own" else None
    if own is None:
        recipe[other] = [*recipe.get(other, []), more]
    with pytest.raises(RecipeError, match="two terms have the label 'short'"):
        problem_for(own, recipe=recipe)


def test_the_reference_alone_needs_a_weight_other_than_1():
    power = problem_for(recipe={"energies": [{"name": "reference", "weight": 4.0}], "sampler": {"name": "auto"}})
    assert [t.label for t in power.terms] == ["reference"]
    for weights in ([1.0], [1], [0.5, 0.5]):
        with pytest.raises(RecipeError, match="nothing to align to"):
            problem_for(recipe={"energies": [{"name": "reference", "weight": weight} for weight in weights]})


@pytest.mark.parametrize("energies", [LENGTH, [{"name": "reference"}], [{"name": "reference"}, *LENGTH]])
def test_weights_that_are_all_0_are_refused(energies):
    nothing = [energy | {"weight": 0.0} for energy in energies]
    with pytest.raises(RecipeError, match="every weight is 0"):
        problem_for(recipe={"energies": nothing})
    limited = {"energies": nothing, "constraints": [LENGTH[0] | {"max": 2.0}]}
    assert problem_for(recipe=limited).terms


def test_weights_of_columns_that_are_all_0_for_a_prompt_are_refused():
    recipe = {"energies": [LENGTH[0] | {"weight": {"column": "w"}}]}
    with pytest.raises(RecipeError, match=r"every weight is 0 for prompt 2 \('on'\) \(length\)"):
        problem_for(recipe=recipe, prompts=[{"prompt": "a", "w": 1}, {"prompt": "on", "w": 0}])
    recipe["energies"].append({"name": "reference"})
    assert problem_for(recipe=recipe, prompts=[{"prompt": "a", "w": 1}, {"prompt": "on", "w": 0}]).terms


@pytest.mark.parametrize("path", ["energies.²", "energies.-1", "energies.9", "energies.x.weight", "energies."])
def test_an_assignment_that_leads_nowhere_says_so(path):
    with pytest.raises(RecipeError, match="--set energies"):
        build_recipe(None, None, terms=[{"name": "length"}], assignments=[(path, 2)])


@pytest.mark.parametrize(
    "value", [float("inf"), float("nan"), [1.0, -float("inf")], {"schedule": "linear", "start": float("inf")}]
)
def test_a_number_that_no_json_file_can_hold_is_refused(value):
    with pytest.raises(RecipeError, match=r"recipe: energies\[0\]\.target.* is -?(inf|nan)"):
        Recipe.parse({"energies": [{"name": "length", "target": value}]})
