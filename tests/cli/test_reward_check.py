"""`sea-toolkit reward check`: what a reward was shown, where it was read, and what it says."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, LlamaForSequenceClassification

from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.testing.tiny import CHAT_TEMPLATE, EOS, tiny_config, tiny_model, tiny_tokenizer
from tests.cli.commands import invoke
from tests.conventions.tokenizers import made
from tests.energies.reward_server import serving
from tests.helpers import tiny_probe

PROMPT, ANSWERS = "tell me about rain", ["the rain is over", "No"]


def saved(folder, kind, config, tokenizer):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        kind(config).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An encoder with word pieces and two outputs, a decoder that reads a chat, a policy, and a probe of it."""
    path = tmp_path_factory.mktemp("check")
    pieces = made("wordpiece", ["[CLS]", "[SEP]"], bos="[CLS]", eos="[SEP]", around="[CLS] $A [SEP]")
    config = BertConfig(
        vocab_size=len(pieces), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=32, initializer_range=0.15, id2label={0: "bad", 1: "good"},
    )  # fmt: skip
    saved(path / "encoder", BertForSequenceClassification, config, pieces)
    chat = tiny_config("llama", initializer_range=0.15, num_labels=1, pad_token_id=EOS)
    saved(path / "decoder", LlamaForSequenceClassification, chat, tiny_tokenizer())
    tiny_model().save_pretrained(path / "policy")
    tiny_tokenizer().save_pretrained(path / "policy")
    tiny_probe(name="mood", model="./policy").save(path / "mood.safetensors")
    return path


@pytest.fixture(autouse=True)
def no_plugins(monkeypatch):
    monkeypatch.setenv("SEA_PLUGINS", "")


def run(*arguments):
    return invoke("reward", "check", *arguments)


def told(*arguments):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_an_encoder_is_read_at_its_first_token_and_says_what_transformers_says(folder):
    found = told(f"{folder}/encoder,output=good", PROMPT, *ANSWERS)
    assert (found["agrees"], found["reads"], found["note"]) == (True, "response", "")
    first, second = found["answers"]
    assert first["tokens"][0]["text"] == "[CLS]"
    assert [token["in_answer"] for token in first["tokens"]] == [False, *[True] * (len(first["tokens"]) - 2), False]
    assert [i for i, token in enumerate(first["tokens"]) if token["is_read"]] == [0]
    model = BertForSequenceClassification.from_pretrained(folder / "encoder")
    for answer in (first, second):
        with torch.no_grad():
            logits = model(torch.tensor([[token["id"] for token in answer["tokens"]]])).logits[0].tolist()
        assert list(answer["outputs"].values()) == pytest.approx(logits, abs=1e-5)
        assert answer["transformers"] == pytest.approx(answer["outputs"], abs=1e-5)
        assert answer["reward"] == pytest.approx(answer["outputs"]["good"])


def test_a_decoder_is_shown_the_chat_and_read_where_transformers_reads(folder):
    """Its padding token ends each turn: transformers reads before it."""
    found = told(f"{folder}/decoder", PROMPT, *ANSWERS)
    assert (found["agrees"], found["reads"]) == (True, "chat")
    tokenizer, answer = tiny_tokenizer(), found["answers"][0]
    around = [token["text"] for token in answer["tokens"] if not token["in_answer"]]
    assert tokenizer.convert_tokens_to_string(around).startswith("user: tell me about rain")
    own = [token["text"] for token in answer["tokens"] if token["in_answer"]]
    assert tokenizer.convert_tokens_to_string(own).strip() == ANSWERS[0]
    last = [i for i, token in enumerate(answer["tokens"]) if token["is_read"]]
    assert last == [len(answer["tokens"]) - 1]
    assert CHAT_TEMPLATE.count("<eos>") == 1
    plain = told(f"{folder}/decoder,reads=response", PROMPT, *ANSWERS)
    assert plain["answers"][0]["reward"] != pytest.approx(answer["reward"], abs=1e-3)


def test_what_is_not_as_transformers_says_ends_with_one(folder, monkeypatch):
    texts = ClassifierReader.texts
    monkeypatch.setattr(ClassifierReader, "texts", lambda self, *given: texts(self, *given) + 0.1)
    result = run(f"{folder}/decoder", PROMPT, *ANSWERS)
    assert result.exit_code == 1
    assert "outputs are NOT as transformers' own forward pass" in result.stdout


def test_a_probe_is_read_at_every_token_of_the_answer(folder):
    found = told(folder / "mood.safetensors", PROMPT, *ANSWERS)
    assert (found["agrees"], found["note"]) == (None, "transformers has no class for this head")
    answer, probe = found["answers"][0], tiny_probe(name="mood")
    assert all(token["is_read"] and token["in_answer"] for token in answer["tokens"])
    ids = [token["id"] for token in answer["tokens"]]
    assert ids == tiny_tokenizer()(ANSWERS[0]).input_ids
    with torch.no_grad():
        states = tiny_model()(torch.tensor([ids]), output_hidden_states=True).hidden_states[probe.layer][0]
    assert answer["reward"] == pytest.approx(float(probe.head.of_means(states.mean(0))), abs=1e-4)
    shown = run(folder / "mood.safetensors", PROMPT, *ANSWERS).stdout
    assert f"read at  all {len(ids)} tokens" in shown


def test_functions_and_servers_say_their_scores(folder, tmp_path, monkeypatch):
    (tmp_path / "taste.py").write_text("def spaces(text):\n    return text.count(' ')\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    name = "verifier,function=taste:spaces"
    refused = run(name, PROMPT, *ANSWERS, "--model", folder / "policy")
    assert (refused.exit_code, "--allow-code taste:spaces" in refused.stderr) == (2, True)
    found = told(name, PROMPT, *ANSWERS, "--model", folder / "policy", "--allow-code", "taste:spaces")
    assert [answer["reward"] for answer in found["answers"]] == [3.0, 0.0]
    similar = f"semantic-similarity,text=the rain is over,model={folder}/policy"
    found = told(similar, PROMPT, *ANSWERS, "--model", folder / "policy")
    assert found["answers"][0]["reward"] == pytest.approx(1.0, abs=1e-3)
    assert found["answers"][1]["reward"] < 0.99
    with serving("openrlhf") as server:
        found = told(server.url, PROMPT, "eee", "no")
    assert found["answers"][0]["reward"] - found["answers"][1]["reward"] == 3.0
    assert found["answers"][0]["tokens"] == []


def test_mistakes_are_told(folder):
    absent = run(f"{folder}/encoder,output=best", PROMPT, *ANSWERS)
    assert (absent.exit_code, "has no output 'best'" in absent.stderr) == (2, True)
    assert "has 2 outputs" in run(f"{folder}/encoder", PROMPT, *ANSWERS).stderr
    assert "what is checked has no weight" in run(f"{folder}/encoder=8", PROMPT, *ANSWERS).stderr
    assert run(f"{folder}/absent", PROMPT, *ANSWERS).exit_code == 1
    fluent = run(f"perplexity,model={folder}/policy", PROMPT, *ANSWERS, "--model", folder / "policy")
    assert (fluent.exit_code, "'perplexity' is an energy, and no reward" in fluent.stderr) == (2, True)
    long = told(f"{folder}/encoder,output=good", PROMPT, "rain and " * 40, "")
    assert long["answers"][0]["reward"] is None, "too long for the model"
    assert long["answers"][1]["tokens"] != []
