"""`semantic-similarity`: cosines of embeddings, as transformers gives them, and paraphrases on the real model."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertModel

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.readers.encoder import ANYTHING, OPENING
from sea_toolkit.testing import Setting, check_energy
from sea_toolkit.testing.energies.check import PROPERTIES as ENERGY
from sea_toolkit.testing.tiny import PAD, tiny_model, tiny_tokenizer
from tests.helpers import PROMPTS, UNSEEN, hub, problem_for, tiny_policy
from tests.readers.test_sequence_classifier import wrapping

CLOSE = {"rtol": 1e-3, "atol": 1e-3}
TEXTS = ["the sand in it.", "on", "is it a rain or an error?"]
REFERENCE = "the rain in the town is on"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of encoders: a BERT and a decoder with the policy's tokens, a BERT with others."""
    root, made = tmp_path_factory.mktemp("encoders"), {}
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    more = {"pad_token_id": PAD, "max_position_embeddings": 128, "initializer_range": 0.15}
    for name, vocab in (("bert", 128), ("stranger", 120)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(len(made))
            model = BertModel(BertConfig(vocab_size=vocab, **sizes, **more), add_pooling_layer=False).eval()
        tokenizer = wrapping(tiny_tokenizer(vocab), "<bos> $A <eos>")
        made[name] = (model, tokenizer)
    made["decoder"] = (tiny_model("llama", seed=2), tiny_tokenizer())
    for name, (model, tokenizer) in made.items():
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return {name: (str(root / name), *pair) for name, pair in made.items()}


def term_of(prompts=PROMPTS, text=REFERENCE, policy=None, **options):
    recipe = {"energies": [{"name": "semantic-similarity", "text": text, **options}]}
    problem = problem_for(recipe=recipe, prompts=prompts, policy=policy, max_new_tokens=8, sampler="best-of-n")
    return problem, problem.terms[0]


@pytest.mark.parametrize("layer", [None, 1, 4])
def test_it_keeps_its_promises(layer):
    held = check_energy("semantic-similarity", Setting(hub=hub(), texts=TEXTS), text=REFERENCE, layer=layer)
    assert set(held) == set(ENERGY) - UNSEEN


@pytest.mark.parametrize("name", ["bert", "decoder"])
def test_with_an_encoder_of_the_same_tokens_it_keeps_them(name, folders):
    held = check_energy("semantic-similarity", Setting(hub=hub(), texts=TEXTS), text=REFERENCE, model=folders[name][0])
    assert set(held) == set(ENERGY) - UNSEEN


def test_with_an_encoder_of_other_tokens_it_keeps_them_through_a_bridge(folders):
    model = folders["stranger"][0]
    held = check_energy("semantic-similarity", Setting(hub=hub(), texts=TEXTS), text=REFERENCE, model=model)
    assert set(held) == set(ENERGY) - UNSEEN
    _, term = term_of(model=model)
    assert "stranger has a tokenizer of its own: its value is exact" in term.bound.warnings[0]


def test_a_relaxed_answer_at_its_corner_is_as_similar_as_its_text(folders):
    policy = tiny_policy()
    _, term = term_of(model=folders["stranger"][0])
    response = policy.from_text([TEXTS] * 3, torch.ones(3, 3, dtype=torch.bool))
    weights = torch.nn.functional.one_hot(response.ids, policy.vocab_size).float().requires_grad_()
    soft = term(SoftResponse.from_weights(weights, None, policy.eos_ids))
    torch.testing.assert_close(soft.detach(), term.score_text(PROMPTS, [TEXTS] * 3), **CLOSE)
    soft.sum().backward()
    assert float(weights.grad.abs().max()) > 1e-3


@pytest.mark.parametrize("layer", [None, 1, 3])
def test_it_is_the_cosine_of_centred_means(layer):
    policy = tiny_policy()

    def mean(text):
        opening = policy.tokenizer(OPENING, add_special_tokens=False).input_ids
        ids = policy.tokenizer(text, add_special_tokens=False).input_ids
        with torch.no_grad():
            states = policy.model(input_ids=torch.tensor([[*opening, *ids]]), output_hidden_states=True).hidden_states
        return states[2 if layer is None else layer][0, len(opening) :].mean(0)

    center = torch.stack([mean(text) for text in ANYTHING]).mean(0)
    _, term = term_of(layer=layer)
    found = -term.score_text(PROMPTS, [TEXTS] * 3)
    assert term.is_reward
    for c, text in enumerate(TEXTS):
        expected = torch.cosine_similarity(mean(text) - center, mean(REFERENCE) - center, dim=0)
        torch.testing.assert_close(found[:, c], expected.expand(3), **CLOSE)


@pytest.mark.parametrize("name", ["bert", "decoder", "stranger"])
def test_another_encoder_is_read_as_it_reads_texts(name, folders):
    folder, model, tokenizer = folders[name]
    base = getattr(model, "model", model)

    def mean(text):
        with torch.no_grad():
            return base(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)

    _, term = term_of(model=folder)
    found = -term.score_text(PROMPTS, [TEXTS] * 3)
    for c, text in enumerate(TEXTS):
        expected = torch.cosine_similarity(mean(text), mean(REFERENCE), dim=0)
        torch.testing.assert_close(found[:, c], expected.expand(3), **CLOSE)


def test_a_text_is_most_like_itself_and_an_empty_one_like_nothing():
    _, term = term_of()
    found = -term.score_text(PROMPTS, [[REFERENCE, TEXTS[0], ""]] * 3)
    assert float(found[0, 0]) == pytest.approx(1.0, abs=1e-3)
    assert float(found[0, 1]) < 0.99
    assert found[:, 2].tolist() == [0.0] * 3


def test_texts_go_with_their_prompts():
    _, term = term_of(text=list(TEXTS))
    found = -term.score_text(PROMPTS, [TEXTS] * 3)
    assert found.argmax(-1).tolist() == [0, 1, 2]
    moved = -term.bound.score_text(list(PROMPTS)[::-1], TEXTS)
    torch.testing.assert_close(moved, torch.stack([found[2, 0], found[1, 1], found[0, 2]]))


@pytest.mark.parametrize(
    ("options", "error", "what"),
    [
        ({"text": " "}, RecipeError, "is empty"),
        ({"text": ["a"]}, RecipeError, "1 texts for 3"),
        ({"layer": 9}, ModelError, "layer 9"),
        ({"layer": 1, "model": "x"}, RecipeError, "layer = 1"),
        ({"model": "sentiment"}, ModelError, "reward model"),
    ],
)
def test_what_cannot_be_compared_is_refused(options, error, what):
    with pytest.raises(error, match=what):
        term_of(**options)


def test_the_ledger_counts_the_blocks_that_run():
    problem, term = term_of(layer=1)
    key = "semantic-similarity:policy"
    before = problem.ledger.models[key].flops
    term.score_text(PROMPTS, [["a" * 5]] * 3)
    assert problem.ledger.models[key].flops - before == 15 * term.meter.flops_per_token
    base = tiny_policy().model.model
    runs = [*base.layers[0].parameters(), *base.norm.parameters()]  # the norm runs too, and nobody reads it
    assert term.meter.flops_per_token == 2.0 * sum(p.numel() for p in runs)


PAIRS = [
    ("The cat is sleeping on the sofa.", "A kitten naps upon our couch."),
    ("He bought a new car last week.", "Seven days ago that man purchased another automobile."),
    ("The weather is cold and rainy today.", "It's wet and chilly outside."),
    ("The train to London was late again.", "Once more rail service into England's capital got delayed."),
    ("The computer crashed and I lost my work.", "All data vanished when this machine broke down."),
    ("The doctor said that he needs surgery.", "A physician told him an operation is necessary."),
]
"""With hardly a word in common."""


@pytest.mark.real_model
def test_paraphrases_are_more_alike_than_other_texts(loaded_smollm2):
    policy = loaded_smollm2("float32")
    prompts = [f"question {i}" for i in range(len(PAIRS))]
    _, term = term_of(prompts=prompts, text=[a for a, _ in PAIRS], policy=policy)
    found = -term.score_text(prompts, [[b for _, b in PAIRS]] * len(PAIRS))
    assert found.argmax(-1).tolist() == list(range(len(PAIRS)))
    same = torch.eye(len(PAIRS), dtype=torch.bool)
    assert float(found[same].mean()) > 0.35
    assert float(found[~same].mean()) < 0.15
