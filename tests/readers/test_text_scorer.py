"""Classifiers that take no embeddings: transformers' own number for the text, no gradient, and a note."""

from __future__ import annotations

import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import BartConfig, BartForSequenceClassification, T5Config, T5ForSequenceClassification

from sea_toolkit.testing.tiny import EOS, PAD, tiny_tokenizer
from tests.helpers import PROMPTS, problem_for, run_for

SEQ2SEQ = {"vocab_size": 128, "pad_token_id": PAD, "eos_token_id": EOS, "decoder_start_token_id": PAD, "num_labels": 2}
MODELS = {
    "t5": (
        T5ForSequenceClassification,
        T5Config(**SEQ2SEQ, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2, initializer_factor=2.0),
    ),
    "bart": (
        BartForSequenceClassification,
        BartConfig(
            **SEQ2SEQ, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, init_std=0.2,
            decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=96,
        ),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root, found = tmp_path_factory.mktemp("texts"), {}
    for name, (kind, config) in MODELS.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = kind(config).eval()
        tokenizer = tiny_tokenizer()
        tokenizer.chat_template = None
        tokenizer._tokenizer.post_processor = TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", EOS)])
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
        found[name] = (root / name, model, tokenizer)
    return found


@pytest.mark.parametrize("name", MODELS)
def test_a_text_scores_as_transformers_scores_it(folders, name):
    folder, model, tokenizer = folders[name]
    energies = [{"name": "reward", "model": str(folder), "output": output} for output in (1, 0)]
    problem = problem_for(recipe={"energies": energies}, prompts=PROMPTS[:1], max_new_tokens=8, sampler="best-of-n")
    texts = ["the rain is over", "so", "it is warm. <eos> again"]
    for term, output in zip(problem.terms, (1, 0), strict=True):
        found = term.bound.score_text(PROMPTS[:1] * 3, texts)
        for c, text in enumerate(texts):
            with torch.no_grad():
                expected = model(tokenizer(text, return_tensors="pt").input_ids).logits[0, output]
            torch.testing.assert_close(-found[c], expected, rtol=1e-4, atol=1e-4)


def test_it_goes_with_samplers_without_a_gradient_and_says_so(folders):
    energies = [{"name": "reference"}, {"name": "reward", "model": str(folders["t5"][0]), "output": 1, "weight": 8.0}]
    run = run_for(energies={}, recipe={"energies": energies}, sampler={"name": "suffix-mh"}, steps=3)
    (result, _) = run.execute()
    assert result.energy[1] <= result.energy[0]
    assert sum("reads the text alone, so it has no gradient" in note for note in result.notes) == 1


def test_a_classifier_counts_the_log_probability_of_a_class(folders):
    folder, model, tokenizer = folders["bart"]
    recipe = {"energies": [{"name": "classifier", "model": str(folder), "target": 1}]}
    term = problem_for(recipe=recipe, prompts=PROMPTS[:1], max_new_tokens=8, sampler="best-of-n").terms[0]
    with torch.no_grad():
        expected = -model(tokenizer("the rain", return_tensors="pt").input_ids).logits.log_softmax(-1)[0, 1]
    torch.testing.assert_close(term.bound.score_text(PROMPTS[:1], ["the rain"])[0], expected, rtol=1e-4, atol=1e-4)
