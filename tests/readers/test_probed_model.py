"""A probe on a model of its own: any encoder or language model, with any tokenizer."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertModel

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.meter import Meter
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import ModelError
from sea_toolkit.evaluation.judges import Judge
from sea_toolkit.lm.devices import Placement
from sea_toolkit.lm.policy import Policy
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.loading import load_encoder
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.probe_reader import PolicyView, ProbeReader
from sea_toolkit.readers.probed_model import load_probed
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.readers.shown_text import ShownText
from sea_toolkit.testing import Setting, check_energy
from sea_toolkit.testing.tiny import EOS, tiny_model, tiny_tokenizer
from tests.conventions.tokenizers import made
from tests.helpers import PROMPTS, hub, one_hot, random_ids, run_for, tiny_policy, tiny_probe

PLACE = Placement(torch.device("cpu"), torch.float32)
TEXTS = ["the rain is over", "No", "what a wonderful thing,  isn't it?"]


def saved(path, model, tokenizer):
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return load_encoder(path, PLACE, path.name)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A folder with an encoder with word pieces, and a probe with a hidden layer beside it."""
    folder = tmp_path_factory.mktemp("probed")
    tokenizer = made("wordpiece", ["[CLS]", "[SEP]"], bos="[CLS]", eos="[SEP]", around="[CLS] $A [SEP]")
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=160, initializer_range=0.15,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, tokenizer = saved(folder / "encoder", BertModel(config, add_pooling_layer=False).eval(), tokenizer)
    probe = tiny_probe(name="taste", model="./encoder", layer=2, hidden=6, of=model, tokenizer=tokenizer)
    probe.save(folder / "taste.safetensors")
    return folder, model, tokenizer, probe


def expected(model, tokenizer, probe, text):
    """The probe by hand: the mean over the text's tokens without the special ones around it."""
    inner = tokenizer(text, add_special_tokens=False).input_ids
    whole = tokenizer(text).input_ids
    start = next(i for i in range(len(whole)) if whole[i : i + len(inner)] == inner)
    with torch.no_grad():
        states = model(torch.tensor([whole]), output_hidden_states=True).hidden_states[probe.layer][0]
        return float(probe.head.of_means(states[start : start + len(inner)].mean(0)))


def reward_run(path, **options):
    energies = [{"name": "reference"}, {"name": "reward", "model": str(path), "weight": 4.0}]
    return run_for(energies={}, recipe={"energies": energies}, **options)


def test_its_reward_is_the_head_on_the_mean_of_the_models_states(encoder):
    folder, model, tokenizer, probe = encoder
    loaded, own = load_probed(probe, folder / "taste.safetensors", ModelFinder(hub()), PLACE)
    reader = ClassifierReader(loaded, ShownText(own, "taste", "response"))
    found = reader.texts(["unread"] * 3, TEXTS)[:, 0].tolist()
    assert found == pytest.approx([expected(model, tokenizer, probe, text) for text in TEXTS], abs=1e-4)


def test_with_other_tokens_it_guides_through_the_bridge(encoder):
    folder, model, tokenizer, probe = encoder
    run = reward_run(folder / "taste.safetensors", sampler="tilted", steps=3)
    (result, _) = run.execute()
    notes = " ".join(result.notes)
    assert "the probe taste reads ./encoder, which runs beside the policy" in notes
    assert "taste has a tokenizer of its own" in notes
    assert result.rewards["taste"][1] == pytest.approx(expected(model, tokenizer, probe, result.response), abs=1e-3)
    weights = one_hot(random_ids(2, 1, 8)).requires_grad_()
    run.problem.terms[1](SoftResponse.from_weights(weights, None, (EOS,))).sum().backward()
    assert float(weights.grad.abs().max()) > 1e-3


def test_with_the_policys_tokens_it_reads_them_straight(tmp_path):
    model, tokenizer = saved(tmp_path / "same", tiny_model("qwen2"), tiny_tokenizer())
    probe = tiny_probe(model="./same", of=model)
    probe.save(tmp_path / "mood.safetensors")
    result = reward_run(tmp_path / "mood.safetensors", sampler="tilted", steps=2).execute()[0]
    assert result.rewards["mood"][1] == pytest.approx(expected(model, tokenizer, probe, result.response), abs=1e-3)
    assert not any("tokenizer of its own" in note for note in result.notes)


def test_a_policy_whose_texts_open_with_a_token_is_read_after_it():
    """As in training, and not from its first word on."""
    tokenizer = made("byte-bpe", bos="<s>", around="<s> $A")
    policy = Policy(tiny_model(vocab=len(tokenizer)), tokenizer, name="opened")
    probe = tiny_probe(of=policy.model, tokenizer=tokenizer)
    view, ledger = PolicyView(probe, policy).view, Ledger()
    prefix = policy.prefix(policy.encode(PROMPTS[:1], 8))
    context = Context(policy, PROMPTS[:1], prefix, 8, ledger, Clock(), ModelFinder(hub()), Meter(ledger))
    response = policy.from_text([TEXTS[:2]], torch.zeros(1, 2, dtype=torch.bool))
    found = ProbeReader(probe, view, "mood", context)(response)[0].tolist()
    assert found == pytest.approx([expected(policy.model, tokenizer, probe, text) for text in TEXTS[:2]], abs=1e-4)


def test_a_model_that_is_gone_or_another_is_told(encoder, tmp_path):
    folder, _, tokenizer, probe = encoder
    lost = tmp_path / "taste.safetensors"
    probe.save(lost)
    with pytest.raises(ModelError, match=r"the probe taste reads \./encoder, which is not the policy"):
        reward_run(lost)
    other = tmp_path / "encoder"
    with torch.no_grad():
        changed = BertModel.from_pretrained(folder / "encoder", add_pooling_layer=False)
        changed.encoder.layer[1].output.dense.weight.mul_(3.0)
    saved(other, changed, tokenizer)
    with pytest.raises(ModelError, match=r"made for \./encoder; what is at .* has other weights"):
        reward_run(lost)


def test_a_judge_may_be_a_probe_of_another_model(encoder):
    folder, model, tokenizer, probe = encoder
    judge = Judge(str(folder / "taste.safetensors"), ModelFinder(hub()))
    judge.load(tiny_policy(), PROMPTS, 8)
    found = judge.score(["unread"] * 3, TEXTS, [True] * 3)
    assert found == pytest.approx([expected(model, tokenizer, probe, text) for text in TEXTS], abs=1e-4)


def test_with_a_hidden_layer_it_keeps_the_promises_of_an_energy(tmp_path):
    tiny_probe(hidden=5).save(tmp_path / "mood.safetensors")
    setting = Setting(hub=hub(), texts=["the sand in it.", "on", "is it a rain?"])
    held = check_energy("reward", setting, model=str(tmp_path / "mood.safetensors"))
    assert {"gradient", "one-hot = text", "padding", "models"} <= set(held)
