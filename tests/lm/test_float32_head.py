"""A classifier's head in float32: rewards that bfloat16 would round to one value stay apart."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, BertConfig, RobertaConfig

from sea_toolkit.lm.float32_head import Float32Linear, float32_head
from sea_toolkit.models.loading import read_classifier
from sea_toolkit.testing.tiny import converted, tiny_config, tiny_policy
from tests.helpers import random_ids
from tests.models.folders import ENCODER_SIZES, save_classifier


def classifier(config):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForSequenceClassification.from_config(config, dtype=torch.bfloat16).eval()


@pytest.mark.parametrize(
    ("config", "path"),
    [(tiny_config("llama"), "score"), (tiny_config("gpt2"), "score"), (BertConfig(**ENCODER_SIZES), "classifier"),
     (RobertaConfig(**ENCODER_SIZES), "classifier.out_proj")],
    ids=["llama", "gpt2", "bert", "roberta"],
)  # fmt: skip
def test_the_head_is_float32_and_the_body_is_not(config, path):
    config = copy.deepcopy(config)
    config.pad_token_id = 0
    model = classifier(config)
    weight = model.get_submodule(path).weight.clone()
    head = float32_head(model).get_submodule(path)
    assert isinstance(head, Float32Linear)
    assert torch.equal(head.weight, weight.float())
    assert model.get_input_embeddings().weight.dtype == torch.bfloat16
    assert model(random_ids(1, 5)).logits.dtype == torch.float32


def test_rewards_of_twenty_differ_in_steps_below_a_thousandth():
    model = classifier(tiny_config("llama", num_labels=1, pad_token_id=0))
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        model.score.weight.copy_(0.2 + 0.01 * torch.randn(1, 32, generator=noise))
    rows = (3 + torch.randn(64, 32, generator=noise) / 16).bfloat16()
    before = model.score(rows).flatten()
    after = float32_head(model).score(rows).flatten()
    assert before.unique().numel() < 40
    assert after.unique().numel() == 64
    assert after.abs().min() > 16
    steps = after.sort().values.diff()
    assert steps[steps > 0].min() < 1e-3


def test_a_head_that_is_no_plain_linear_or_is_float32_is_left_alone():
    model = classifier(tiny_config("llama", num_labels=1, pad_token_id=0))
    own = nn.Sequential(nn.Linear(32, 32), nn.Linear(32, 1))
    model.score = own
    assert float32_head(model).score is own
    full = classifier(tiny_config("llama", pad_token_id=0)).float()
    head = full.score
    assert float32_head(full).score is head


def test_a_loaded_classifier_has_it(tmp_path):
    folder = save_classifier(tmp_path / "m")
    model = read_classifier(folder, converted(tiny_policy(), torch.bfloat16), "m")
    assert model.score.weight.dtype == torch.float32
    assert model.model.embed_tokens.weight.dtype == torch.bfloat16
