"""The same weights under another convention for the end of an answer: on the real model, by the real command's way."""

from __future__ import annotations

import json
import shutil

import pytest

import sea_toolkit as sea

QUESTION = "What is the capital of France? Answer in one short sentence."


@pytest.fixture(scope="module")
def other(smollm2, tmp_path_factory):
    """The model's folder, where two lines differ, as in Gemma-it: the tokenizer's end of text is not the turn's."""
    folder = tmp_path_factory.mktemp("other") / "model"
    shutil.copytree(smollm2, folder)
    for name, changed in (
        ("tokenizer_config.json", {"eos_token": "<|endoftext|>"}),
        ("generation_config.json", {"eos_token_id": [0, 2]}),
    ):
        path = folder / name
        data = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**data, **changed}))
    return folder


@pytest.mark.real_model
def test_the_answer_does_not_depend_on_which_list_names_the_end_of_a_turn(smollm2, other):
    settings = {"max_new_tokens": 20, "budget": 12, "seed": 0, "recipe": {"energies": [
        {"name": "reference"}, {"name": "length", "weight": 0.5, "target": 10}]}}  # fmt: skip
    one, two = (sea.align(QUESTION, model=str(folder), **settings) for folder in (smollm2, other))
    assert one.response == two.response
    assert one.base_response == two.base_response
    assert [c.text for c in one.candidates] == [c.text for c in two.candidates]
    assert one.energy == pytest.approx(two.energy, rel=1e-4)
    assert one.nll_per_token == pytest.approx(two.nll_per_token, rel=1e-4)
    assert one.candidates[0].finished
    assert one.nll_per_token[1] < 0.5
    assert not two.notes
