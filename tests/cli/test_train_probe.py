"""`sea-toolkit train-probe` from a data file to a probe that scores."""

from __future__ import annotations

import gzip
import json
import random

import pytest
import torch
from transformers import BertConfig, BertModel

from sea_toolkit.lm.fingerprint import model_facts
from sea_toolkit.readers.probe import Probe
from sea_toolkit.testing.tiny import LAYERS, tiny_model, tiny_tokenizer
from sea_toolkit.training.features import pooled_features
from tests.cli.commands import invoke
from tests.conventions.tokenizers import made

GOOD, BAD = ["lovely", "shiny", "bright"], ["qzxj", "vkqq", "jxzz"]


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("policy")
    tiny_model("llama").save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def no_plugins(monkeypatch):
    monkeypatch.setenv("SEA_PLUGINS", "")


def sentence(words: list[str], generator: random.Random) -> str:
    filler = generator.choices(["the", "and", "house", "river", "on", "in"], k=4)
    return " ".join(generator.sample([*filler, *generator.choices(words, k=4)], 8))


def write_labels(path) -> None:
    generator = random.Random(0)
    lines = ["text,label"]
    for i in range(300):
        lines.append(f"{sentence(GOOD if i % 2 else BAD, generator)} {i},{i % 2}")
    path.write_bytes(gzip.compress("\n".join(lines).encode()))


def run(*args):
    return invoke("train-probe", *args)


def test_labels_end_to_end(policy, tmp_path):
    data, out = tmp_path / "data.csv.gz", tmp_path / "nice.safetensors"
    write_labels(data)
    result = run(data, "--out", out, "--model", policy, "--layer-search", "1,2,3", "--license", "MIT", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [row["layer"] for row in told["layers"]] == [1, 2, 3]
    chosen = next(row for row in told["layers"] if row["layer"] == told["layer"])
    assert chosen["test_accuracy"] > 0.9
    assert told["per_file"]["data.csv.gz"][1] > 0.9

    probe = Probe.load(out)
    assert probe.info.name == "nice"
    assert probe.info.layer == told["layer"]
    assert probe.info.accuracy == pytest.approx(chosen["test_accuracy"], abs=1e-4)
    model, tokenizer = tiny_model("llama"), tiny_tokenizer()
    assert probe.other_facts(model_facts(model, tokenizer, "x")) == []
    mean = pooled_features(model, tokenizer, ["lovely shiny bright", "qzxj vkqq jxzz"], [probe.layer])[probe.layer]
    assert torch.equal(probe.head.of_means(mean) > 0, torch.tensor([True, False]))

    card = out.with_suffix(".md").read_text(encoding="utf-8")
    assert "sea-toolkit train-probe DATA/data.csv.gz" in card
    assert "--layer-search 1,2,3" in card
    assert str(tmp_path / "data") not in card
    before = out.read_bytes()
    run(data, "--out", out, "--model", policy, "--layer-search", "1,2,3", "--license", "MIT", "--force")
    assert out.read_bytes() == before, "the same command gives the same bytes"


def test_an_encoder_with_other_tokens_and_a_hidden_layer(tmp_path, monkeypatch):
    tokenizer = made("wordpiece", ["[CLS]", "[SEP]"], bos="[CLS]", eos="[SEP]", around="[CLS] $A [SEP]")
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64,
        initializer_range=0.15,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    data, out = tmp_path / "data.csv.gz", tmp_path / "probes" / "nice.safetensors"
    out.parent.mkdir()
    write_labels(data)
    monkeypatch.chdir(tmp_path)
    result = run(data, "--out", out, "--model", "bert", "--hidden", 8, "--max-rows", 160)
    assert result.exit_code == 0, result.output
    assert "at layer 3" in result.stdout, "all of an encoder's layers"
    assert "epochs" in result.stdout
    assert "always the more frequent class" in result.stdout
    probe = Probe.load(out)
    assert (probe.info.model, probe.info.hidden, probe.info.model_type) == ("../bert", 8, "bert")
    assert probe.info.accuracy > 0.8
    card = out.with_suffix(".md").read_text(encoding="utf-8")
    assert "one hidden layer of 8 (gelu) on block 3 of 3" in card
    assert "--model ../bert --hidden 8" in card
    monkeypatch.chdir("/")
    told = invoke("reward", "check", out, "hi", "lovely shiny bright", "qzxj vkqq jxzz", "--json")
    assert told.exit_code == 0, told.output
    good, bad = (answer["reward"] for answer in json.loads(told.stdout)["answers"])
    assert good > bad


def test_pairs_end_to_end_with_a_readable_table(policy, tmp_path):
    generator = random.Random(1)
    data = tmp_path / "pairs.jsonl"
    with data.open("w") as file:
        for i in range(200):
            ask = f"\n\nHuman: question {i}\n\nAssistant: "
            pair = {key: ask + sentence(words, generator) for key, words in (("chosen", GOOD), ("rejected", BAD))}
            file.write(json.dumps(pair) + "\n")
    result = run(data, "--out", tmp_path / "p.safetensors", "--model", policy)
    assert result.exit_code == 0, result.output
    assert f"at layer {LAYERS // 2}" in result.stdout
    assert "200 pairs" in result.stdout
    assert Probe.load(tmp_path / "p.safetensors").info.accuracy > 0.9


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--text-column", "tweet"], "no column 'tweet'; it has 'text', 'label'"),
        (["--positive", "1", "--negative", "7"], "150 positive and 0 negative texts"),
        (["--threshold", "9"], "0 positive and 300 negative texts"),
        (["--threshold", "high"], "threshold = 'high'"),
        (["--format", "pairs"], "no column 'chosen'"),
        (["--layer-search", "1,two"], "--layer-search 1,two"),
        (["--layer", "1", "--layer-search", "1"], "both --layer and --layer-search"),
        (["--max-rows", "20"], "20 usable rows"),
    ],
)
def test_bad_input_is_found_before_the_policy_is_loaded(tmp_path, args, message):
    data = tmp_path / "data.csv.gz"
    write_labels(data)
    result = run(data, "--out", tmp_path / "x.safetensors", "--model", "/absent/policy", *args)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "x.safetensors").exists()


def test_bad_output_and_bad_policy(policy, tmp_path):
    data = tmp_path / "data.csv.gz"
    write_labels(data)
    assert "ending in .safetensors" in run(data, "--out", tmp_path / "x.bin", "--model", policy).stderr
    result = run(data, "--out", tmp_path / "no" / "x.safetensors", "--model", policy)
    assert (result.exit_code, "does not exist" in result.stderr) == (1, True)
    result = run(data, "--out", tmp_path / "x.safetensors", "--model", policy, "--layer", "9")
    assert (result.exit_code, "layer 9 was asked of" in result.stderr) == (1, True)
    result = run(data, "--out", tmp_path / "x.safetensors", "--model", "sentiment")
    assert (result.exit_code, "sentiment is a reward model" in result.stderr) == (1, True)
