"""The truncated trunk equals the full model's hidden states, on every architecture."""

from __future__ import annotations

import pytest
import torch

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.truncate import count_layers, truncate
from sea_toolkit.testing.tiny import ARCHITECTURES, LAYERS, tiny_model


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("layers", range(1, LAYERS + 1))
def test_trunk_equals_hidden_states_of_the_full_model(arch, layers):
    model = tiny_model(arch)
    ids = torch.randint(4, 128, (3, 24), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 15:] = 0
    trunk = truncate(model, layers)
    with torch.no_grad():
        before = model(ids, attention_mask=mask, output_hidden_states=True)
        hidden = trunk(ids, attention_mask=mask, use_cache=False)[0]
        again = model(ids, attention_mask=mask, output_hidden_states=True)
    assert torch.equal(hidden[mask.bool()], before.hidden_states[layers][mask.bool()])
    assert torch.equal(again.logits, before.logits)
    assert count_layers(model) == LAYERS == len(again.hidden_states) - 1
    own = {p.data_ptr() for p in model.parameters()}
    assert all(p.data_ptr() in own for p in trunk.parameters())


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_trunk_takes_embeddings_and_lets_gradients_through(arch):
    model = tiny_model(arch).requires_grad_(False)
    trunk = truncate(model, 2)
    ids = torch.randint(4, 128, (2, 9), generator=torch.Generator().manual_seed(2))
    embeds = model.get_input_embeddings()(ids).requires_grad_(True)
    positions = torch.arange(9).expand(2, -1)
    hidden = trunk(inputs_embeds=embeds, position_ids=positions, attention_mask=torch.ones_like(ids), use_cache=False)[
        0
    ]
    with torch.no_grad():
        expected = trunk(input_ids=ids, use_cache=False)[0]
    torch.testing.assert_close(hidden, expected, rtol=0, atol=1e-6)
    (gradient,) = torch.autograd.grad(hidden[:, 4].square().sum(), embeds)
    assert gradient[:, :5].abs().sum(-1).min() > 0
    assert gradient[:, 5:].abs().max() == 0, "a causal trunk must not look ahead"


def test_running_the_original_after_its_hidden_states_were_recorded():
    # transformers installs recording hooks at the first output_hidden_states; a view made after that must
    # work too
    model = tiny_model("llama")
    ids = torch.arange(4, 14)[None]
    with torch.no_grad():
        full = model(ids, output_hidden_states=True).hidden_states
        view = truncate(model, 3)(ids, output_hidden_states=True, use_cache=False)
    assert len(view.hidden_states) == 4
    for mine, theirs in zip(view.hidden_states, full, strict=False):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("layers", [0, -1, LAYERS + 1])
def test_a_layer_that_is_not_there(layers):
    with pytest.raises(ModelError, match=f"layer {layers} was asked of a model with {LAYERS} layers"):
        truncate(tiny_model("llama"), layers)


def test_an_architecture_that_is_not_understood():
    model = tiny_model("llama")
    del model.model._modules["norm"]
    with pytest.raises(ModelError, match="LlamaModel is not understood"):
        truncate(model, 2)
