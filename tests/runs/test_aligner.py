"""`Aligner`: models are loaded once, and the answers are those of separate calls."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from transformers import LlamaForSequenceClassification

import sea_toolkit as sea
from sea_toolkit.energies import semantic_similarity
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm import policy_blocks
from sea_toolkit.lm.policy import Policy
from sea_toolkit.problem import compass_file
from sea_toolkit.readers import classifiers, language_model
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.runs import session
from sea_toolkit.testing.tiny import tiny_model, tiny_policy, tiny_tokenizer
from tests import checker
from tests.helpers import tiny_probe

SETTINGS = {"sampler": "best-of-n", "chains": 2, "budget": 6, "max_new_tokens": 6}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of two policies and a reward."""
    root = tmp_path_factory.mktemp("models")
    config = copy.deepcopy(tiny_model("llama").config)
    config.num_labels = 1
    reward = LlamaForSequenceClassification(config)
    for name, model in {"one": tiny_model("llama"), "two": tiny_model("llama", seed=5), "reward": reward}.items():
        model.save_pretrained(root / name)
        tiny_tokenizer().save_pretrained(root / name)
    return {name: str(root / name) for name in ("one", "two", "reward")}


@pytest.fixture
def loads(monkeypatch):
    """The names of what is loaded."""
    seen = []
    for module, name in (
        (session, "load_policy"),
        (classifiers, "load_classifier"),
        (ClassifierReader, "__init__"),  # the class itself stands in annotations
        (language_model, "load_language_model"),
        (semantic_similarity, "load_encoder"),
    ):
        real = getattr(module, name)

        def counted(*args, real=real, name=name, **options):
            seen.append(name)
            return real(*args, **options)

        monkeypatch.setattr(module, name, counted)
    return seen


def test_models_are_loaded_once_and_answers_are_those_of_separate_calls(folders, loads):
    aligner = sea.Aligner(model=folders["one"])
    rewarded = {"reward": {folders["reward"]: 2.0}, **SETTINGS}
    together = [aligner.align(prompt, seed=seed, **rewarded) for seed, prompt in enumerate(("a", "the rain"))]
    assert sorted(loads) == ["__init__", "load_classifier", "load_policy"]
    for seed, result in enumerate(together):
        alone = sea.align(str(result.prompt), model=folders["one"], seed=seed, **rewarded)
        assert (alone.response, alone.energy) == (result.response, result.energy)


def test_models_that_energies_ask_are_loaded_once_too(folders, loads):
    aligner = sea.Aligner(model=folders["one"])
    similar = {"name": "semantic-similarity", "text": "a rain", "model": folders["two"]}
    recipe = {"energies": [{"name": "perplexity", "model": folders["two"]}, similar], "policy": aligner.recipe.policy}
    first, second = (aligner.align("a", recipe=recipe, seed=1, **SETTINGS) for _ in range(2))
    assert sorted(loads) == ["load_encoder", "load_language_model", "load_policy"]
    assert (first.response, first.energy) == (second.response, second.energy)
    assert first.ledger["models"] == second.ledger["models"]


def test_what_one_call_asks_for_is_forgotten_in_the_next(folders):
    aligner = sea.Aligner(model=folders["one"])
    first = aligner.align("a", energies={"short": (1.0, lambda r: r.expected_length())}, seed=1, **SETTINGS)
    aligner.align("a", reward={folders["reward"]: 2.0}, seed=1, **SETTINGS)
    again = aligner.align("a", energies={"short": (1.0, lambda r: r.expected_length())}, seed=1, **SETTINGS)
    assert (first.response, first.energy, first.terms) == (again.response, again.energy, again.terms)


def test_a_recipe_with_another_policy_loads_it(folders, loads):
    aligner = sea.Aligner(model=folders["one"])
    other = {"policy": {"model": folders["two"]}, "energies": [{"name": "length", "target": 3.0}]}
    aligner.align("a", recipe=other, **SETTINGS)
    aligner.align("a", recipe=other, **SETTINGS)
    assert loads == ["load_policy"]


def test_settings_that_a_policy_of_ones_own_would_ignore_are_refused():
    aligner = sea.Aligner(policy=tiny_policy(), system="Be brief.")
    with pytest.raises(RecipeError, match="system"):
        aligner.align("a", energies={"short": (1.0, lambda r: r.expected_length())}, **SETTINGS)


def test_what_a_probe_and_its_compass_need_of_the_policy_is_found_out_in_the_first_call_only(tmp_path, monkeypatch):
    policy, path = Policy(tiny_model(), tiny_tokenizer()), tmp_path / "mood.safetensors"
    tiny_probe(of=policy.model).save(path)
    settings = {"reward": {str(path): 2.0}, "max_new_tokens": 4}
    made = sea.fit_compass(["the rain"], policy=policy, samples=2, **settings)
    made.save(tmp_path / "mood.compass.safetensors")
    calls = []
    for module, name in ((policy_blocks, "truncate"), (policy_blocks, "state_sample"), (compass_file, "compass_of")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, r=real, n=name: calls.append(n) or r(*args))
    fresh = Policy(tiny_model(), tiny_tokenizer())
    for own in (fresh, fresh, Policy(tiny_model(), tiny_tokenizer())):
        sea.Aligner(policy=own).align("the rain", sampler="tilted", chains=1, steps=1, **settings)
    assert calls == ["truncate", "state_sample", "compass_of"] * 2


WRONG = {
    "a name": ({"policy": "smollm2-135m"}, "policy is 'smollm2-135m'", "model='smollm2-135m'"),
    "a folder": ({"policy": Path("here")}, "policy is ", "model='here'"),
    "a model": ({"policy": tiny_model("llama")}, "policy is a LlamaForCausalLM", "sea.Policy(model, tokenizer)"),
    "a list of plugins": ({"hub": ["reward"]}, "hub is a list", "PluginHub.discover()"),
}


@pytest.mark.parametrize("call", ["Aligner", "align", "compare", "calibrate", "score"])
@pytest.mark.parametrize(("given", "got", "hint"), WRONG.values(), ids=WRONG.keys())
def test_objects_of_another_kind_are_refused_by_what_they_are(monkeypatch, call, given, got, hint):
    """Not by an attribute that a name or a model does not have."""
    monkeypatch.setattr(checker, "CALLS", 0)  # a user's Python checks no types
    arguments = {"Aligner": (), "score": (["a"], ["b"]), "compare": (["a"],), "calibrate": (["a"],), "align": ("a",)}
    settings = {"recipe": {"energies": [{"name": "length", "weight": 1.0, "target": 4}]}}
    settings |= {"samplers": ["smc"], "budgets": [4]} if call == "compare" else {}
    with pytest.raises(RecipeError) as caught:
        getattr(sea, call)(*arguments[call], **settings, **given)
    assert got in str(caught.value)
    assert hint in str(caught.value)
