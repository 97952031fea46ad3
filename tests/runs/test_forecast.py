"""What a recipe will cost, told without weights, and what the run then spends."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from transformers import LlamaForSequenceClassification

from sea_toolkit.errors import RecipeError
from sea_toolkit.runs.contradictions import contradictions
from sea_toolkit.runs.forecast import forecast
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.runs.rehearsal import rehearse
from sea_toolkit.runs.session import Session
from sea_toolkit.runs.stand_ins import write_only
from sea_toolkit.testing.tiny import tiny_config, tiny_model, tiny_tokenizer
from tests.helpers import hub, tiny_probe

VOCAB = 80  # without merges


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny policy of long texts that read as they were written, a probe on it, and two classifiers."""
    path = tmp_path_factory.mktemp("forecast")
    model, tokenizer = tiny_model("llama", vocab=VOCAB), tiny_tokenizer(VOCAB)
    write_only(model, tokenizer.convert_tokens_to_ids(list("abcdefgh")))
    for name, saved in (("policy", model), ("tuned", tiny_model("llama", vocab=VOCAB, seed=1))):
        saved.save_pretrained(path / name)
        tokenizer.save_pretrained(path / name)
    probe = tiny_probe(name="taste", model="tiny", seed=1, of=model, tokenizer=tokenizer)
    probe.save(path / "taste.safetensors")
    for name, vocab in (("judge", VOCAB), ("stranger", 60)):
        config = tiny_config("llama", vocab, initializer_range=0.15, num_labels=1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            LlamaForSequenceClassification(config).save_pretrained(path / name)
        tiny_tokenizer(vocab).save_pretrained(path / name)
    return path


@pytest.fixture(scope="module")
def bare(folder, tmp_path_factory):
    """The same without any weights of models."""
    path = tmp_path_factory.mktemp("bare") / "forecast"
    shutil.copytree(folder, path, ignore=lambda at, names: [n for n in names if n == "model.safetensors"])
    return path


def recipe(folder, *rewards, sampler="auto", **more):
    energies = [{"name": "reference"}, *({"name": "reward", "model": str(folder / name)} for name in rewards)]
    policy = {"model": str(folder / "policy"), "template": "plain", "dtype": "float32", "device": "cpu"}
    data = {"policy": policy, "energies": energies, "max_new_tokens": 12}
    return Recipe.parse(data | {"sampler": {"name": sampler, "steps": 4, "chains": 3}} | more)


def told(chosen, **settings):
    session = Session(hub())
    return forecast(session.compose(chosen), session.finder, **settings)


def test_roads_sampler_and_why_without_any_weights(bare):
    found = told(recipe(bare, "taste.safetensors", "judge", "stranger"))
    roads = {term.label: term.road for term in found.terms}
    assert "policy itself" in roads["taste"]
    assert "reads the policy's tokens" in roads["judge"]
    assert "bridge" in roads["stranger"]
    assert (found.sampler, found.per_step is not None) == ("tilted", True)
    told_why = "a gradient tells which words are preferred by taste, judge, stranger, and the recipe counts steps"
    assert found.why == told_why
    assert found.recipe["sampler"]["strength"] == 4.0
    assert json.loads(json.dumps(found.to_dict()))["terms"][1]["models"] == ["reward:taste"]
    blind = told(recipe(bare, energies=[{"name": "reference"}, {"name": "finished"}]))
    assert (blind.sampler, blind.why) == ("best-of-n", "no term besides the reference has a gradient or a compass")


@pytest.mark.parametrize("sampler", ["tilted", "suffix-mh", "sea", "smc"])
def test_the_cost_is_that_of_the_ledger_within_a_fifth(folder, bare, sampler):
    rewards = ("taste.safetensors", "judge")
    found = told(recipe(bare, *rewards, sampler=sampler), prompts=2, prompt_tokens=6)
    session = Session(hub())
    composition = session.compose(recipe(folder, *rewards, sampler=sampler))
    spent = []
    run = session.run(composition, ["a a a a a a", "a a a b a a"], on_event=lambda event: spent.append(event.samples))
    run.execute()
    assert found.sample_flops == run.problem.sample_flops
    assert found.samples == pytest.approx(run.problem.ledger.samples, rel=0.2)
    assert found.flops == pytest.approx(run.problem.ledger.flops, rel=0.2)
    each = (spent[-1] - spent[0]) / 4
    assert found.per_step == pytest.approx(each, rel=0.2)


TERMS = {
    "probe": {"name": "reward", "model": "taste.safetensors"},
    "classifier": {"name": "reward", "model": "judge"},
    "class": {"name": "classifier", "model": "judge", "target": 0},
    "ensemble": {"name": "ensemble", "models": ["taste.safetensors", "judge"]},
    "worst-of": {"name": "worst-of", "models": ["judge", "taste.safetensors"]},
    "meaning": {"name": "semantic-similarity", "text": "abc"},
    "meaning elsewhere": {"name": "semantic-similarity", "text": "abc", "model": "tuned"},
    "perplexity": {"name": "perplexity"},
    "perplexity elsewhere": {"name": "perplexity", "model": "tuned"},
    "implicit": {"name": "implicit-reward", "model": "tuned"},
    "mixture": {"name": "policy-mixture", "models": ["tuned"]},
    "judge": {"name": "judge", "model": "tuned", "yes": "a", "no": "b", "exact": True},
    "words": {"name": "keywords", "words": ["abc"]},
    "end": {"name": "finished"},
}


@pytest.mark.parametrize("case", TERMS)
def test_what_an_energy_tells_ahead_is_what_it_is_when_it_is_bound(folder, case):
    term = dict(TERMS[case])
    for key in ("model", "models"):
        if key in term:
            named = [str(folder / name) for name in ([term[key]] if key == "model" else term[key])]
            term[key] = named[0] if key == "model" else named
    session = Session(hub())
    composition = session.compose(recipe(folder, energies=[{"name": "reference"}, term]))
    outlook = rehearse(composition, session.finder, 4).outlooks[1]
    bound = session.bind(composition, ["ab"]).terms[1]
    assert outlook.has_gradient == bound.differentiable
    assert outlook.is_reward == bound.is_reward
    assert sorted(model.name for model in outlook.models) == sorted(model.name for model in bound.meter.models)
    told = 2.0 * sum(model.parameters for model in {model.key: model for model in outlook.models}.values())
    if case != "judge":  # what stands around an answer is in its price
        assert told == pytest.approx(bound.meter.flops_per_token, rel=0.02)


def test_memory_is_that_of_the_weights_and_grows_with_the_prompts(bare):
    memory = told(recipe(bare, "judge"), prompts=4).memory
    numbers = 2 * sum(p.numel() for p in tiny_model("llama", vocab=VOCAB).parameters())
    assert memory.weights == pytest.approx(numbers * 4 / 2**20, rel=0.15)  # the classifier has a head of another size
    assert memory.each_prompt > 0
    assert memory.peak == pytest.approx(memory.rest + memory.weights + 4 * memory.each_prompt)
    assert memory.unknown == []


def test_a_limit_takes_from_the_passes_what_does_not_fit(bare):
    whole = told(recipe(bare, "judge"), prompts=400).memory
    limit = int((whole.rest + whole.weights + 2) * 2**20)
    memory = told(recipe(bare, "judge"), prompts=400, memory_limit=limit).memory
    assert whole.saved == 0.0
    assert 0.0 < memory.saved < 400 * memory.each_prompt
    assert memory.peak == pytest.approx(memory.rest + memory.weights + 400 * memory.each_prompt - memory.saved)
    with pytest.raises(RecipeError, match="and the models take about"):
        told(recipe(bare, "judge"), memory_limit="1MiB")


def test_a_rehearsal_leaves_the_composition_as_it_was(bare):
    session = Session(hub())
    composition = session.compose(recipe(bare, "judge"))
    parts = list(composition.parts)
    rehearse(composition, session.finder, 4).steps()
    assert composition.parts == parts


CONTRADICTIONS = {
    "weight 0": ({"energies": [{"weight": 0.0}]}, "judge has weight 0: it is computed"),
    "scale of nothing": (
        {"energies": [{"weight": 0.0, "scale": "base-std"}]}, "and decides nothing; its scale has no effect",
    ),
    "weight that ends": (
        {"energies": [{"weight": {"schedule": "linear", "start": 1.0, "end": 0.0}}]}, "judge weighs 0 at the end",
    ),
    "pushed up and held down": ({"constraints": [{"max": 1.0, "label": "cap"}]}, "judge is pushed up, and the limit"),
    "pushed down and held up": (
        {"energies": [{"weight": -1.0}], "constraints": [{"min": 1.0, "label": "floor"}]},
        "judge is pushed down, and the limit 'floor' ends below",
    ),
    "both ways": ({"energies": [{"weight": 2.0}, {"weight": -2.0, "label": "again"}]}, "judge and again are the same"),
    "too long": ({"length": 40.0}, "length wants 40 tokens, and max_new_tokens is 12"),
    "no reference": ({"reference": False}, "there is no reference"),
}  # fmt: skip


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_contradictions_are_told(bare, case):
    given, message = CONTRADICTIONS[case]
    reward = {"name": "reward", "model": str(bare / "judge")}
    energies = [{"name": "reference"}] if given.get("reference", True) else []
    energies += [{**reward, **term} for term in given.get("energies", [{}])]
    energies += [{"name": "length", "target": given["length"]}] if "length" in given else []
    limits = [{**reward, **term} for term in given.get("constraints", [])]
    chosen, session = recipe(bare, energies=energies, constraints=limits), Session(hub())
    composition = session.compose(chosen)
    outlooks = rehearse(composition, session.finder, 4).outlooks
    (line,) = contradictions(chosen, composition.parts, outlooks)
    assert message in line


def test_a_sound_recipe_has_none(bare):
    chosen, session = recipe(bare, "judge"), Session(hub())
    composition = session.compose(chosen)
    assert contradictions(chosen, composition.parts, rehearse(composition, session.finder, 4).outlooks) == []
