"""From a name to a model: what is refused, before the weights are read, and in which words."""

from __future__ import annotations

import importlib.util
import shutil

import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration, T5Config, T5Model

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.fingerprint import weights_fingerprint
from sea_toolkit.models import reading
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.loading import load_encoder, load_policy, read_classifier
from sea_toolkit.models.policy_spec import PolicySpec
from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from tests.helpers import hub, problem_for, tiny_policy
from tests.models.folders import edit_config, loaded, save_classifier, save_policy


@pytest.fixture
def folder(tmp_path):
    return save_policy(tmp_path / "m")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_folder_becomes_a_policy(folder, dtype):
    policy = load_policy(PolicySpec(model=str(folder), dtype=dtype, device="cpu", template="plain"), ModelFinder(hub()))
    assert policy.dtype == getattr(torch, dtype)
    assert policy.template == "plain"
    assert policy.name == str(folder)
    expected = tiny_model().to(policy.dtype).state_dict()
    assert all(torch.equal(w, expected[k]) for k, w in policy.model.state_dict().items())


def damage(folder, how):
    weights = folder / "model.safetensors"
    if how == "truncated":
        weights.write_bytes(weights.read_bytes()[:-500])
    elif how == "garbage":
        weights.write_bytes(b"\xff" * 2000)
    elif how == "no weights":
        weights.unlink()
    elif how == "pickle":
        torch.save(tiny_model().state_dict(), folder / "pytorch_model.bin")
        weights.unlink()
    elif how == "no tokenizer":
        for file in folder.glob("tokenizer*"):
            file.unlink()
    elif how == "tokenizer without a vocabulary":
        (folder / "tokenizer.json").unlink()
    elif how == "no config":
        (folder / "config.json").unlink()
    elif how == "no model type":
        edit_config(folder, model_type=None)
    elif how == "unknown model type":
        edit_config(folder, model_type="lama")
    else:
        (folder / "config.json").write_text("{")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("truncated", r"are not whole: model\.safetensors has 184836 bytes instead of 185336"),
        ("garbage", r"model\.safetensors is no safetensors file, or was cut"),
        ("no weights", r"has no weights: there is no model\.safetensors"),
        ("pickle", r"has pickled weights only \(pytorch_model\.bin\)[\s\S]*sea-toolkit models convert"),
        ("no tokenizer", "the tokenizer's files are missing"),
        ("tokenizer without a vocabulary", "the tokenizer's files are missing"),
        ("no config", r"has no config\.json"),
        ("broken config", r"config\.json cannot be read"),
        ("no model type", r"config\.json has no model_type"),
        ("unknown model type", "lama[\\s\\S]*pip install --upgrade transformers"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said_without_a_word_of_the_network(folder, how, message):
    damage(folder, how)
    with pytest.raises(ModelError, match=message) as caught:
        loaded(folder)
    assert "network" not in str(caught.value)


@pytest.mark.parametrize("content", ["{oops", "[1]", "\xff"])
@pytest.mark.parametrize("file", ["generation_config.json", "tokenizer_config.json", "special_tokens_map.json"])
def test_a_damaged_small_file_is_named(folder, file, content):
    """transformers goes on without a generation config that it cannot read, and so with other ends of text."""
    (folder / file).write_bytes(content.encode("latin-1"))
    with pytest.raises(ModelError, match=rf"{file} cannot be read"):
        loaded(folder)


def test_missing_weights_are_named(folder):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks weights: model\.layers\.1\.mlp\.up_proj\.weight"):
        loaded(folder)


def test_weights_of_another_size_than_the_config_says_are_named_with_both_sizes(folder):
    edit_config(folder, intermediate_size=48)
    with pytest.raises(
        ModelError, match=r"down_proj\.weight is \[32, 64\] in its weights and \[32, 48\] by its config"
    ):
        loaded(folder)


def test_a_file_and_nothing_are_no_policy(folder, tmp_path):
    with pytest.raises(ModelError, match=f"is a file[\\s\\S]*try: its folder: {folder}"):
        loaded(folder / "config.json")
    with pytest.raises(ModelError, match="there is no model at"):
        loaded(tmp_path / "none")
    with pytest.raises(ModelError, match="sentiment is a reward model"):
        loaded("sentiment")


def test_an_empty_tokenizer_is_refused(folder, monkeypatch):
    empty = tiny_tokenizer()
    monkeypatch.setattr(empty, "get_vocab", empty.get_added_vocab)
    monkeypatch.setattr(reading, "from_pretrained", lambda *a, **k: empty)
    with pytest.raises(ModelError, match="the tokenizer's files are missing"):
        reading.read_tokenizer(folder, "m")


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ({"quant_method": "gptq", "bits": 4}, "pip install optimum"),
        ({"quant_method": "awq", "bits": 4}, "pip install gptqmodel"),
        ({"quant_method": "compressed-tensors"}, "pip install compressed-tensors"),
        ({"quant_method": "torchao", "quant_type": {"default": {"_type": "X", "_data": {}}}}, "pip install torchao"),
    ],
)
def test_a_quantized_format_names_the_package_it_needs(folder, method, words):
    package = words.rpartition(" ")[2].replace("-", "_")
    if importlib.util.find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    edit_config(folder, quantization_config=method)
    with pytest.raises(ModelError, match=f"needs a package that is not installed[\\s\\S]*try: {words}") as caught:
        loaded(folder)
    assert "network" not in str(caught.value)


SEQ2SEQ = {"vocab_size": 128, "d_model": 32, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
BART = {
    "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["policy", "encoder"])
def test_encoder_decoders_are_refused_by_name(tmp_path, kind):
    bart = BartConfig(**SEQ2SEQ, **BART)
    model = {
        "policy": lambda: BartForConditionalGeneration(bart),
        "encoder": lambda: T5Model(T5Config(**SEQ2SEQ, d_kv=8, d_ff=32, num_layers=1, num_heads=2)),
    }[kind]()
    model.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    load = {
        "policy": lambda: loaded(tmp_path),
        "encoder": lambda: load_encoder(tmp_path, tiny_policy(), "m"),
    }[kind]
    name = "t5" if kind == "encoder" else "bart"
    with pytest.raises(ModelError, match=rf"is an encoder-decoder \({name}\)"):
        load()


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("stated", [None, 2, 5])
def test_a_head_has_as_many_outputs_as_rows_whatever_the_config_says(tmp_path, rows, stated):
    save_classifier(tmp_path, labels=rows)
    labels = None if stated is None else {str(i): f"L{i}" for i in range(stated)}
    edit_config(tmp_path, id2label=labels, label2id=None)
    model = read_classifier(tmp_path, tiny_policy(), "m")
    assert model.score.weight.shape == (rows, 32)
    assert len(model.config.id2label) == rows


def test_labels_that_fit_the_head_are_kept(tmp_path):
    save_classifier(tmp_path, labels=2)
    edit_config(tmp_path, id2label={"0": "helpfulness", "1": "verbosity"}, label2id=None)
    assert read_classifier(tmp_path, tiny_policy(), "m").config.id2label == {0: "helpfulness", 1: "verbosity"}


def test_a_language_model_is_no_reward(folder):
    with pytest.raises(ModelError, match=r"lacks weights: score\.weight[\s\S]*a bare language model has none"):
        read_classifier(folder, tiny_policy(), "m")


def test_what_transformers_draws_for_a_gap_leaves_the_random_stream_alone(folder):
    before = torch.random.get_rng_state()
    load_encoder(folder, tiny_policy(), "m")
    assert torch.equal(before, torch.random.get_rng_state())


def test_where_a_model_lies_is_no_difference(folder):
    other = folder.parent / "copy"
    shutil.copytree(folder, other)
    one, two = (loaded(f) for f in (folder, other))
    assert weights_fingerprint(one.model) == weights_fingerprint(two.model)


@pytest.mark.parametrize("kind", ["reward", "classifier"])
def test_a_file_of_a_model_is_no_reward(tmp_path, kind):
    classifier = save_classifier(tmp_path / "c")
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    for file, words in (
        (classifier / "model.safetensors", f"is a file[\\s\\S]*try: its folder: {classifier}"),
        (classifier / "config.json", f"is a file[\\s\\S]*try: its folder: {classifier}"),
        (tmp_path / "x.gguf", "is a GGUF file, which holds a language model"),
    ):
        energy = {"name": kind, "model": str(file)} | ({"target": 0} if kind == "classifier" else {})
        with pytest.raises(ModelError, match=words):
            problem_for(recipe={"energies": [energy]})


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_way_attention_is_computed_can_be_chosen(folder, attention):
    policy = load_policy(PolicySpec(model=str(folder), device="cpu", attention=attention), ModelFinder(hub()))
    assert policy.model.config._attn_implementation == attention


def test_attention_that_is_not_installed_is_told(folder):
    with pytest.raises(ModelError, match="needs a package that is not installed: FlashAttention2"):
        load_policy(PolicySpec(model=str(folder), device="cpu", attention="flash_attention_2"), ModelFinder(hub()))
