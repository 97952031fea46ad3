"""`model.generate(custom_generate=…)`: ids in, ids out."""

from __future__ import annotations

import pytest
import torch

import sea_toolkit as sea
from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer

SETTINGS = {"energies": {"length": {"weight": 1.0, "target": 4}}, "budget": 4, "seed": 1}


@pytest.fixture(scope="module")
def model():
    return tiny_model().eval()


def test_generate_returns_the_prompts_with_the_aligned_answers_behind_them(model):
    tokenizer = tiny_tokenizer()
    decode = sea.custom_generate(tokenizer, **SETTINGS)
    texts = ["the rain", "a"]
    rows = [tokenizer(text).input_ids for text in texts]
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    found = model.generate(ids, attention_mask=mask, custom_generate=decode, max_new_tokens=6)
    assert torch.equal(found[:, :width], ids)
    policy = sea.Policy(model, tokenizer, template="plain")
    expected = sea.align(texts, policy=policy, max_new_tokens=6, **SETTINGS)
    assert policy.text(found[:, None, width:]) == [[result.response] for result in expected]


def test_what_cannot_be_asked_of_it_is_refused(model):
    decode = sea.custom_generate(tiny_tokenizer(), **SETTINGS)
    ids = torch.tensor([tiny_tokenizer()("the rain").input_ids])
    with pytest.raises(sea.RecipeError, match="several answers"):
        model.generate(ids, custom_generate=decode, max_new_tokens=4, do_sample=True, num_return_sequences=2)
    split = torch.tensor([tiny_tokenizer().convert_tokens_to_ids(["t", "h", "e"])])
    with pytest.raises(sea.RecipeError, match="not those of its text"):
        model.generate(split, custom_generate=decode, max_new_tokens=4)
