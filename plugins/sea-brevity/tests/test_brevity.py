"""The energy `brevity`, found and built by the hub as in a run."""

from __future__ import annotations

import pytest
import sea_brevity
import torch

import sea_toolkit as sea
from sea_toolkit.testing import Setting, check_energy

EOS = 0


@pytest.fixture
def brevity():
    """Build the energy with options."""
    hub = sea.PluginHub.discover(plugins=[])
    with hub.temporarily(sea_brevity):
        yield lambda **options: hub.get("energy", "temporary:brevity").build(options)


def test_it_keeps_the_promises_of_an_energy():
    hub = sea.PluginHub.discover(plugins=[])
    with hub.temporarily(sea_brevity):
        check_energy("temporary:brevity", Setting(hub=hub), per_token=0.5, free=1.0)


def of_lengths(*lengths: int, room: int = 8) -> sea.SoftResponse:
    """One prompt with a chain for each length, the end of text included."""
    ids = torch.full((1, len(lengths), room), 3)
    for chain, length in enumerate(lengths):
        ids[0, chain, length - 1 :] = EOS
    return sea.SoftResponse.from_ids(ids, [EOS])


def test_each_token_has_its_price(brevity):
    assert brevity(per_token=0.5)(of_lengths(1, 2, 6)).tolist() == [[0.5, 1.0, 3.0]]


def test_the_free_tokens_cost_nothing(brevity):
    assert brevity(per_token=2.0, free=3)(of_lengths(2, 3, 5)).tolist() == [[0.0, 0.0, 4.0]]


def test_gradient_descent_ends_the_answer_earlier(brevity):
    logits = torch.zeros(1, 1, 8, 4, requires_grad=True)
    response = sea.SoftResponse.from_weights(logits.softmax(-1), None, [EOS])
    brevity()(response).sum().backward()
    assert (logits.grad[0, 0, :-1, EOS] < 0).all()  # the last position's end changes no length
    assert (logits.grad[0, 0, :-1, 1:] > 0).all()


def test_a_negative_price_is_refused(brevity):
    with pytest.raises(sea.RecipeError, match="per_token"):
        brevity(per_token=-1.0)
