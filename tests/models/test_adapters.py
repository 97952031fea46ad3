"""PEFT adapters: for policies and rewards, without the package, beside a base, and for other layers."""

from __future__ import annotations

import importlib.util
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from sea_toolkit.errors import ModelError
from sea_toolkit.models.loading import load_classifier, load_encoder, load_language_model
from sea_toolkit.testing.tiny import tiny_tokenizer
from tests.helpers import PROMPTS, problem_for, random_ids, tiny_policy
from tests.models.folders import edit_config, loaded, save_classifier, save_policy

peft = pytest.importorskip("peft")


def save_adapter(base, folder, kind=AutoModelForCausalLM, labels=None, tokenizer=True, **config):
    """A LoRA adapter with random weights, saved as PEFT does; returns PEFT's own model."""
    options = {} if labels is None else {"num_labels": labels}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = kind.from_pretrained(str(base), **options)
        wrapped = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], **config))
        for name, weight in wrapped.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(weight, std=0.3)
    wrapped.save_pretrained(str(folder))
    if tokenizer:
        tiny_tokenizer().save_pretrained(folder)
    return wrapped.eval()


@pytest.fixture
def base(tmp_path):
    return save_policy(tmp_path / "base")


@pytest.mark.parametrize("tokenizer", [True, False])
def test_an_adapter_is_a_policy_as_peft_runs_it(base, tmp_path, tokenizer):
    wrapped = save_adapter(base, tmp_path / "lora", task_type="CAUSAL_LM", tokenizer=tokenizer)
    policy, ids = loaded(tmp_path / "lora"), random_ids(1, 9)
    with torch.no_grad():
        torch.testing.assert_close(policy.model(ids).logits, wrapped(ids).logits, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(policy.model(ids).logits, loaded(base).model(ids).logits, atol=0.1)


@pytest.mark.parametrize("start", ["classifier", "bare"])
def test_an_adapter_is_a_reward_as_peft_runs_it(base, tmp_path, start):
    """On a classifier, and on a bare language model, whose head the adapter brings (as TRL saves rewards)."""
    folder = base if start == "bare" else save_classifier(tmp_path / "classifier", labels=1)
    extra = {"task_type": "SEQ_CLS", "modules_to_save": ["score"]}
    wrapped = save_adapter(folder, tmp_path / "lora", AutoModelForSequenceClassification, 1, **extra)
    model, _ = load_classifier(tmp_path / "lora", tiny_policy(), "lora")
    ids = random_ids(1, 9)
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, wrapped(ids).logits, rtol=1e-4, atol=1e-4)
    assert model.score.weight.shape == (1, 32)
    assert not any("lora" in name for name, _ in model.named_parameters())


def test_an_adapter_on_a_head_of_another_class_changes_the_body_under_it(base, tmp_path):
    """A value head beside a language model, and an adapter of its layers."""
    wrapped = save_adapter(base, tmp_path / "lora", task_type="CAUSAL_LM")
    path, head = base / "model.safetensors", torch.randn(1, 32, generator=torch.Generator().manual_seed(0))
    save_file(load_file(path) | {"v_head.summary.weight": head}, path, {"format": "pt"})
    model, _ = load_classifier(tmp_path / "lora", tiny_policy(), "lora")
    ids = random_ids(1, 9)
    with torch.no_grad():
        hidden = wrapped(ids, output_hidden_states=True).hidden_states[-1][:, -1]
        torch.testing.assert_close(model(ids).logits, hidden @ head.T, rtol=1e-4, atol=1e-4)


def test_an_adapter_of_a_classifier_on_quantized_weights_is_refused(tmp_path):
    folder = save_classifier(tmp_path / "classifier", labels=1)
    save_adapter(folder, tmp_path / "lora", AutoModelForSequenceClassification, 1, task_type="SEQ_CLS")
    edit_config(folder, quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
    with pytest.raises(ModelError, match="is quantized"):
        load_classifier(tmp_path / "lora", tiny_policy(), "lora")


def test_an_adapter_is_a_judge_as_peft_runs_it(base, tmp_path):
    wrapped = save_adapter(base, tmp_path / "lora", task_type="CAUSAL_LM")
    lm, ids = load_language_model(tmp_path / "lora", tiny_policy(), "lora"), random_ids(1, 9)
    with torch.no_grad():
        torch.testing.assert_close(lm.model(ids).logits, wrapped(ids).logits, rtol=1e-4, atol=1e-4)


def test_an_adapter_without_a_head_is_no_reward(base, tmp_path):
    save_adapter(base, tmp_path / "lora", task_type="CAUSAL_LM")
    with pytest.raises(ModelError, match=r"lora lacks weights: score\.weight"):
        load_classifier(tmp_path / "lora", tiny_policy(), "lora")


def test_an_adapter_that_brings_more_embeddings_enlarges_its_base(base, tmp_path):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = AutoModelForCausalLM.from_pretrained(str(base))
        model.resize_token_embeddings(130, mean_resizing=False)
        config = peft.LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"])
        wrapped = peft.get_peft_model(model, config).eval()
    wrapped.save_pretrained(str(tmp_path / "lora"))
    ids = torch.tensor([[5, 129, 7]])
    with torch.no_grad():
        found = loaded(tmp_path / "lora").model(ids).logits
        torch.testing.assert_close(found, wrapped(ids).logits, rtol=1e-4, atol=1e-4)


def test_an_adapter_without_peft_names_its_base_and_the_package(base, tmp_path, monkeypatch):
    save_adapter(base, tmp_path / "lora")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "peft" else find(name, *a))
    for load in (
        loaded,
        lambda f: load_classifier(f, tiny_policy(), "r"),
        lambda f: load_encoder(f, tiny_policy(), "e"),
    ):
        with pytest.raises(
            ModelError, match=rf"is an adapter for {base}, and peft is not installed[\s\S]*'sea-alignment\[adapters\]'"
        ):
            load(tmp_path / "lora")


@pytest.mark.parametrize("installed", [True, False])
def test_a_base_and_an_adapter_in_one_folder_are_refused(base, tmp_path, monkeypatch, installed):
    save_adapter(base, tmp_path / "lora")
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(tmp_path / "lora" / file, base / file)
    if not installed:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None)
    with pytest.raises(ModelError, match="holds a whole model and an adapter"):
        loaded(base)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"num_hidden_layers": 2}, r"layers\.2"), ({"num_hidden_layers": 6}, r"it lacks .*layers\.4"),
     ({"hidden_size": 64}, "size mismatch")],
)  # fmt: skip
def test_an_adapter_for_other_layers_is_named(base, tmp_path, change, words):
    save_adapter(base, tmp_path / "lora", task_type="CAUSAL_LM")
    other = save_policy(tmp_path / "other", **change)
    edit_config(tmp_path / "lora", "adapter_config.json", base_model_name_or_path=str(other))
    with pytest.raises(ModelError, match=f"the adapter .*lora does not fit its base {other}: .*{words}"):
        loaded(tmp_path / "lora")


def test_an_adapter_whose_base_is_nowhere_says_so(base, tmp_path):
    save_adapter(base, tmp_path / "lora")
    shutil.rmtree(base)
    with pytest.raises(ModelError, match=f"is an adapter for {base}, which is not here"):
        loaded(tmp_path / "lora")
    edit_config(tmp_path / "lora", "adapter_config.json", base_model_name_or_path="nobody/nothing")
    with pytest.raises(ModelError, match="nobody/nothing is not in the Hugging Face cache"):
        loaded(tmp_path / "lora")


@pytest.mark.parametrize("tokenizer", [True, False])
@pytest.mark.parametrize("inner", ["itself", "another", "a whole model beside one"])
def test_a_base_that_holds_an_adapter_is_refused(base, tmp_path, inner, tokenizer):
    folder = tmp_path / "lora"
    save_adapter(base, folder, task_type="CAUSAL_LM", tokenizer=tokenizer)
    other = tmp_path / "other"
    save_adapter(base, other, task_type="CAUSAL_LM")
    if inner == "a whole model beside one":
        shutil.copytree(base, other, dirs_exist_ok=True)
    edit_config(folder, "adapter_config.json", base_model_name_or_path=str(folder if inner == "itself" else other))
    with pytest.raises(ModelError, match=r"the base of the adapter .*lora is .*, which holds an adapter itself"):
        loaded(folder)


def test_an_adapter_with_pickled_or_cut_weights_is_named(base, tmp_path):
    save_adapter(base, tmp_path / "lora")
    weights = tmp_path / "lora" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-3])
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors has \d+ bytes instead of"):
        loaded(tmp_path / "lora")
    weights.rename(weights.with_name("adapter_model.bin"))
    with pytest.raises(ModelError, match=r"the adapter .* has pickled weights only"):
        loaded(tmp_path / "lora")


def test_an_adapter_that_is_no_change_of_weights_is_refused(base, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(str(base))
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    peft.get_peft_model(model, config).save_pretrained(str(tmp_path / "prompt"))
    with pytest.raises(ModelError, match="PROMPT_TUNING, which cannot be merged"):
        loaded(tmp_path / "prompt")


def test_the_base_of_an_adapted_policy_is_another_model_to_an_energy(base, tmp_path):
    save_adapter(base, tmp_path / "lora", task_type="CAUSAL_LM")
    policy = loaded(tmp_path / "lora")
    recipe = {"energies": [{"name": "perplexity", "model": str(base)}]}
    problem = problem_for(recipe=recipe, policy=policy, prompts=PROMPTS, max_new_tokens=4)
    own = problem_for(recipe={"energies": [{"name": "perplexity"}]}, policy=policy, prompts=PROMPTS, max_new_tokens=4)
    asked, expected = (p.terms[0].bound.score_text(p.prompts, ["a cat"] * len(PROMPTS)) for p in (problem, own))
    assert (asked - expected).abs().min() > 1e-3
