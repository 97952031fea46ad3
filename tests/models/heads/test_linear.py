"""Heads that transformers has no class for: each family's score, as its own published forward pass gives it."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from sea_toolkit.errors import ModelError
from sea_toolkit.models.heads.found import find_head
from sea_toolkit.models.loading import load_classifier, read_classifier
from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from tests.helpers import random_ids, run_for, tiny_policy
from tests.models.heads.checkpoints import hidden_of, layer, save_headed

LINEAR = ["v_head.summary", "v_head", "value_head", "value_head.summary", "regression_head", "score_head", "rm_head"]


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_head_scores_as_its_family_does(tmp_path, name, bias):
    tensors = layer(name, bias=bias)
    folder = save_headed(tmp_path, tensors, body="bare" if bias else "causal")
    model = read_classifier(folder, tiny_policy(), "m")
    ids = random_ids(2, 9)
    expected = hidden_of(folder, ids) @ tensors[f"{name}.weight"].T + tensors.get(f"{name}.bias", 0.0)
    with torch.no_grad():
        torch.testing.assert_close(model(input_ids=ids).logits, expected, rtol=1e-4, atol=1e-4)
        padded = torch.nn.functional.pad(ids, (0, 4))
        mask = torch.nn.functional.pad(torch.ones_like(ids), (0, 4))
        torch.testing.assert_close(model(padded, mask).logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prefix", ["pretrained_model.model.", "transformer.", "model.model."])
def test_the_body_may_be_wrapped(tmp_path, prefix):
    """TRL's value heads; berkeley-nest/Starling-RM-7B-alpha, which keeps its body as `transformer` and as `model`."""
    tensors = layer("v_head", bias=False)
    folder, ids = save_headed(tmp_path, tensors), random_ids(1, 7)
    expected = hidden_of(folder, ids) @ tensors["v_head.weight"].T
    path = folder / "model.safetensors"
    weights = {
        key.replace("model.", prefix, 1): value for key, value in load_file(path).items() if "lm_head" not in key
    }
    save_file(weights, path, {"format": "pt"})
    with torch.no_grad():
        found = read_classifier(folder, tiny_policy(), "m")(input_ids=ids).logits
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_two_layers_have_a_relu_between_them(tmp_path):
    first, last = layer("score.0", rows=32), layer("score.2", rows=2, seed=1)
    folder = save_headed(tmp_path, first | last)
    model = read_classifier(folder, tiny_policy(), "m")
    ids = random_ids(2, 7)
    inner = torch.relu(hidden_of(folder, ids) @ first["score.0.weight"].T + first["score.0.bias"])
    expected = inner @ last["score.2.weight"].T + last["score.2.bias"]
    with torch.no_grad():
        torch.testing.assert_close(model(input_ids=ids).logits, expected, rtol=1e-4, atol=1e-4)
    assert model.config.num_labels == 2


def test_a_body_without_a_classifier_in_transformers_has_its_score(tmp_path):
    tensors = layer("score", bias=False)
    folder = save_headed(tmp_path, tensors, arch="olmo2")
    model = read_classifier(folder, tiny_policy(), "m")
    ids = random_ids(1, 6)
    with torch.no_grad():
        torch.testing.assert_close(
            model(input_ids=ids).logits, hidden_of(folder, ids) @ tensors["score.weight"].T, rtol=1e-4, atol=1e-4
        )


def test_such_a_reward_guides_a_run(tmp_path):
    folder = save_headed(tmp_path / "rm", layer("value_head", bias=False))
    energies = [{"name": "reference"}, {"name": "reward", "model": str(folder), "weight": 4.0, "reads": "response"}]
    result = run_for(energies={}, recipe={"energies": energies}, sampler={"name": "tilted"}, steps=3).execute()[0]
    assert result.energy[1] <= result.energy[0]
    model, _ = load_classifier(folder, tiny_policy(), "rm")
    ids = tiny_tokenizer()(result.response, return_tensors="pt").input_ids
    assert float(model(input_ids=ids).logits) == pytest.approx(result.rewards["rm"][1], rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (layer("v_head", columns=16), r"the head v_head of m is \[1, 16\]; its body is 32 wide"),
        (layer("score.0", rows=8) | layer("score.2", columns=9), r"is \[8, 32\], \[1, 9\]"),
        (layer("value_head.0", rows=32) | layer("value_head.2"), "what stands between them is not known"),
    ],
)
def test_a_head_that_cannot_be_read_is_an_error(tmp_path, tensors, message):
    with pytest.raises(ModelError, match=message):
        read_classifier(save_headed(tmp_path, tensors), tiny_policy(), "m")


def test_no_head_is_found_among_other_tensors():
    names = [*tiny_model().state_dict(), "model.layers.0.self_attn.v_head_norm.weight", "value_heads.weight"]
    assert find_head(dict.fromkeys(names, (1, 32)), {}, 32, "m") is None
