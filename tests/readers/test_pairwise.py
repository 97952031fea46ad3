"""A reward that compares answers: the numbers of llm-blender's PairRM, for the answer that others are compared with."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken
from tokenizers.processors import TemplateProcessing
from transformers import DebertaV2Config, DebertaV2Model

from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.models.loading import load_classifier
from sea_toolkit.readers.shown_to import shown_to
from sea_toolkit.testing.tiny import BOS, EOS, PAD, tiny_tokenizer
from tests.helpers import PROMPTS, problem_for, run_for, tiny_policy
from tests.models.folders import edit_config
from tests.models.heads.checkpoints import layer

MARKS = ("<|source|>", "<|candidate1|>", "<|candidate2|>")
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A folder as llm-blender/PairRM-hf is one, its body, head and tokenizer."""
    folder = tmp_path_factory.mktemp("pairwise") / "rm"
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = None
    tokenizer.add_tokens([AddedToken(mark, special=True, normalized=False) for mark in MARKS])
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", BOS), ("<eos>", EOS)]
    )
    keys = ("source_prefix_id", "cand1_prefix_id", "cand2_prefix_id")
    marks = dict(zip(keys, tokenizer.convert_tokens_to_ids(list(MARKS)), strict=True))
    config = DebertaV2Config(
        vocab_size=len(tokenizer),
        pad_token_id=PAD,
        max_position_embeddings=256,
        initializer_range=0.15,
        **SIZES,
        **marks,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        body = DebertaV2Model(config).eval()
    body.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    head = layer("head_layer.1", rows=32, columns=64) | layer("head_layer.4", rows=2, seed=1)
    path = folder / "model.safetensors"
    save_file(
        {f"pretrained_model.{key}": value for key, value in load_file(path).items()} | head, path, {"format": "pt"}
    )
    edit_config(folder, architectures=["DebertaV2PairRM"])
    return folder, body, head, tokenizer


def published(pair, prompt, first, second):
    """DebertaV2PairRM.forward on `tokenize_pair` (allenai/reward-bench, models/pairrm.py)."""
    _, body, head, tokenizer = pair
    texts = (MARKS[0] + prompt, MARKS[1] + first, MARKS[2] + second)
    ids = torch.tensor([[i for text in texts for i in tokenizer.encode(text)]])
    with torch.no_grad():
        encs = body(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    source, cand1, cand2 = (encs[ids == tokenizer.convert_tokens_to_ids(mark)] for mark in MARKS)

    def score(x):
        x = torch.tanh(x @ head["head_layer.1.weight"].T + head["head_layer.1.bias"])
        return x @ head["head_layer.4.weight"].T + head["head_layer.4.bias"]

    left, right = score(torch.cat([source, cand1], -1)), score(torch.cat([source, cand2], -1))
    return (left - right).mean(-1)


def problem_of(pair, **options):
    recipe = {"energies": [{"name": "reward", "model": str(pair[0]), **options}]}
    return problem_for(recipe=recipe, prompts=PROMPTS[:2], sampler="best-of-n", max_new_tokens=8)


def test_an_answer_is_compared_with_another_in_both_orders(pair):
    term = problem_of(pair, against=["it is cold", "so"]).terms[0]
    texts = ["the rain is over", "no <|source|> here"]
    found = -term.bound.score_text(PROMPTS[:2], texts)
    for i, (text, other) in enumerate(zip(texts, ("it is cold", "so"), strict=True)):
        if "<|" in text:  # a mark that an answer spells is not the prompt's
            assert bool(found[i].isfinite())
            continue
        expected = published(pair, PROMPTS[i], text, other) - published(pair, PROMPTS[i], other, text)
        torch.testing.assert_close(found[i : i + 1], expected, rtol=1e-4, atol=1e-4)


def test_no_answer_is_better_than_itself(pair):
    term = problem_of(pair, against="it is cold").terms[0]
    assert float(term.bound.score_text(PROMPTS[:1], ["it is cold"])[0]) == pytest.approx(0.0, abs=1e-6)


def test_it_guides_without_a_gradient_and_compares_with_the_policys_own_answer(pair):
    energies = [{"name": "reference"}, {"name": "reward", "model": str(pair[0]), "weight": 20.0}]
    run = run_for(energies={}, recipe={"energies": energies}, sampler={"name": "suffix-mh"}, steps=3)
    (result, _) = run.execute()
    assert result.energy[1] <= result.energy[0]
    assert sum("it compares two texts" in note for note in result.notes) == 1
    with pytest.raises(RecipeError, match="needs"):
        run_for(energies={}, recipe={"energies": energies}, sampler={"name": "tilted"}, steps=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"against": ["a"]}, "1 texts for 2 prompts"),
        ({"reads": "chat"}, "compares answers"),
        ({"against": "a" * 400}, "room for another answer"),
    ],
)
def test_options_that_do_not_go_with_it_are_errors(pair, options, message):
    with pytest.raises(RecipeError, match=message):
        problem_of(pair, **options)


def test_an_answer_that_is_too_long_has_no_value(pair):
    term = problem_of(pair, against="so").terms[0]
    assert bool(term.bound.score_text(PROMPTS[:1], ["z! " * 120])[0].isnan())


def test_parts_that_are_missing_are_errors(pair, tmp_path):
    folder, _, _, tokenizer = pair
    weights = load_file(folder / "model.safetensors")
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    save_file(
        {k: v for k, v in weights.items() if k != "head_layer.4.weight"},
        tmp_path / "model.safetensors",
        {"format": "pt"},
    )
    with pytest.raises(ModelError, match=r"lacks weights: head_layer\.4"):
        load_classifier(tmp_path, tiny_policy(), "rm")
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    edit_config(tmp_path, cand2_prefix_id=None)
    with pytest.raises(ModelError, match="lacks cand2_prefix_id"):
        load_classifier(tmp_path, tiny_policy(), "rm")


def test_it_is_no_reward_of_single_answers(pair):
    model, tokenizer = load_classifier(pair[0], tiny_policy(), "rm")
    with pytest.raises(ModelError, match="compares an answer with another one"):
        shown_to(model, tokenizer, "rm")
