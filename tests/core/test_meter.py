"""What runs through announced models is counted, however they are called, and nothing else is."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.meter import Meter, parameters_used
from sea_toolkit.testing.tiny import tiny_model


@pytest.fixture
def model():
    return tiny_model("llama", seed=3).requires_grad_(False)


@pytest.fixture
def meter(model):
    meter = Meter(Ledger())
    meter.announce("reward:mine", model)
    return meter


def counted(meter):
    return meter.ledger.models["reward:mine"]


def body_and_head(model):
    layers = sum(p.numel() for part in (model.model.layers, model.model.norm) for p in part.parameters())
    return layers, model.lm_head.weight.numel()


def test_a_call_counts_its_tokens_once_through_all_weights_but_the_embedding(model, meter):
    ids = torch.randint(4, 100, (3, 7))
    with meter.counting():
        model(input_ids=ids)
    body, head = body_and_head(model)
    assert counted(meter).forward == 21
    assert counted(meter).flops == 2.0 * 21 * (body + head)
    assert meter.flops_per_token == 2.0 * (body + head) == 2.0 * parameters_used(model)


def test_embeddings_count_like_ids_and_a_gradient_counts_the_way_back(model, meter):
    embeds = torch.randn(2, 5, model.config.hidden_size, requires_grad=True)
    with meter.counting():
        model(inputs_embeds=embeds)
        with torch.no_grad():
            model(inputs_embeds=embeds)
    assert counted(meter).forward == 20
    assert counted(meter).backward == 10


def test_a_part_that_is_called_by_itself_counts_with_its_own_weights(model, meter):
    with meter.counting():
        hidden = model.model(input_ids=torch.randint(4, 100, (2, 6)))[0]
        model.lm_head(hidden[:, -1])
    body, head = body_and_head(model)
    assert counted(meter).flops == 2.0 * (12 * body + 2 * head)


def test_nothing_counts_outside_and_a_failed_call_does_not_stay_open(model, meter):
    ids = torch.randint(4, 100, (1, 4))
    model(input_ids=ids)
    assert "reward:mine" not in meter.ledger.models
    with meter.counting(), pytest.raises(Exception, match="inputs_embeds"):
        model()
    with meter.counting():
        model(input_ids=ids)
    assert counted(meter).forward == 4


def test_two_runs_that_share_a_model_count_apart(model, meter):
    other = Meter(Ledger())
    other.announce("reward:mine", model)
    ids = torch.randint(4, 100, (1, 4))
    with meter.counting():
        model(input_ids=ids)
    with other.counting():
        model(input_ids=torch.cat([ids, ids], 1))
    assert (counted(meter).forward, counted(other).forward) == (4, 8)


def test_a_copy_of_an_announced_model_is_another_model(model, meter):
    with meter.counting():
        copy.deepcopy(model)(input_ids=torch.randint(4, 100, (1, 4)))
    assert "reward:mine" not in meter.ledger.models


def test_tied_weights_count_once_and_a_given_cost_is_kept():
    first = nn.Linear(4, 4, bias=False)
    pair = nn.Sequential(first, nn.Linear(4, 4, bias=False))
    pair[1].weight = first.weight
    assert parameters_used(pair) == 16
    meter = Meter(Ledger())
    meter.announce("a", pair, flops_per_token=3.0)
    meter.announce("b", nn.Embedding(9, 4))
    assert meter.flops_per_token == 3.0


def test_features_in_a_mapping_are_counted():
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, features):
            return self.layer(features["input_ids"].float()[..., None].expand(-1, -1, 3))

    encoder, meter = Encoder(), Meter(Ledger())
    meter.announce("encoder", encoder)
    with meter.counting():
        encoder({"input_ids": torch.ones(2, 4, dtype=torch.long)})
    assert meter.ledger.models["encoder"].forward == 8
