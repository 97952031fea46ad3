"""The truncated view equals the full model's hidden states, on every architecture."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.architecture import HOOKS, accepted
from sea_toolkit.lm.backbone import Backbone
from sea_toolkit.lm.truncate import count_layers, truncate
from sea_toolkit.testing.tiny import ARCHITECTURES, LAYERS, tiny_model, tiny_tokenizer
from sea_toolkit.training.features import pooled_features
from tests.architectures.build import small_model


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("layers", range(1, LAYERS + 1))
def test_trunk_equals_hidden_states_of_the_full_model(arch, layers):
    model = tiny_model(arch)
    ids = torch.randint(4, 128, (3, 24), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 15:] = 0
    view = truncate(model, layers)
    with torch.no_grad():
        before = model(ids, attention_mask=mask, output_hidden_states=True)
        hidden = view(ids, attention_mask=mask, use_cache=False)[0]
        again = model(ids, attention_mask=mask, output_hidden_states=True)
    assert torch.equal(hidden[mask.bool()], before.hidden_states[layers][mask.bool()])
    assert torch.equal(again.logits, before.logits)
    assert count_layers(model) == LAYERS == len(again.hidden_states) - 1
    own = {p.data_ptr() for p in model.parameters()}
    assert all(p.data_ptr() in own for p in view.parameters())


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_trunk_takes_embeddings_and_lets_gradients_through(arch):
    model = tiny_model(arch).requires_grad_(False)
    view = truncate(model, 2)
    ids = torch.randint(4, 128, (2, 9), generator=torch.Generator().manual_seed(2))
    embeds = model.get_input_embeddings()(ids).requires_grad_(True)
    positions = torch.arange(9).expand(2, -1)
    hidden = view(inputs_embeds=embeds, position_ids=positions, attention_mask=torch.ones_like(ids), use_cache=False)[0]
    with torch.no_grad():
        expected = view(input_ids=ids, use_cache=False)[0]
    torch.testing.assert_close(hidden, expected, rtol=0, atol=1e-6)
    (gradient,) = torch.autograd.grad(hidden[:, 4].square().sum(), embeds)
    assert gradient[:, :5].abs().sum(-1).min() > 0
    assert gradient[:, 5:].abs().max() == 0, "a causal view must not look ahead"


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


def hooks(model):
    return [(name, key, *found) for name, part in model.named_modules() for key in HOOKS if (found := vars(part)[key])]


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_model_that_is_asked_for_hidden_states_is_as_before(arch):
    model = tiny_model(arch)
    mine = model.get_input_embeddings().register_forward_hook(lambda *call: None)
    known, before = [set(vars(part)) for part in model.modules()], hooks(model)
    pooled_features(model, tiny_tokenizer(), ["the rain", "the wind and the rain"], [1, 2])
    view = truncate(model, 2)
    assert hooks(model) == before
    assert len(before) == 1
    assert [set(vars(part)) for part in model.modules()] == known
    mine.remove()
    ids = torch.arange(4, 14)[None]
    with torch.no_grad():
        full = model(ids, output_hidden_states=True).hidden_states
        assert torch.equal(view(ids, use_cache=False)[0], full[2])
    assert len(full) == LAYERS + 1


@pytest.mark.parametrize("layers", [0, -1, LAYERS + 1])
def test_a_layer_that_is_not_there(layers):
    with pytest.raises(ModelError, match=f"layer {layers} was asked of a model with {LAYERS} layers"):
        truncate(tiny_model("llama"), layers)


def test_an_architecture_that_is_not_understood():
    model = tiny_model("llama")
    model.model.layers = torch.nn.Sequential(*model.model.layers)
    with pytest.raises(ModelError, match="the blocks of LlamaForCausalLM are not understood: no one list of 4 blocks"):
        truncate(model, 2)


def test_blocks_whose_hidden_state_is_another_one():
    model = tiny_model("llama")
    second = model.model.layers[1]
    single = second.forward
    second.forward = lambda *args, **kwargs: (
        single(*args, **kwargs) * 2.0
    )  # what hooks make of it, transformers 5.0 misses
    model.model.layers[2].register_forward_pre_hook(lambda module, given: (given[0] + 1.0, *given[1:]))
    truncate(model, 2)
    plain = model.model.forward
    model.model.forward = lambda **kwargs: (
        plain(**kwargs) if kwargs.get("input_ids") is None else shifted(plain(**kwargs))
    )
    with pytest.raises(ModelError, match=r"what its first 2 blocks give is not hidden_states\[2\]"):
        truncate(model, 2)


def shifted(output):
    output["hidden_states"] = tuple(state + 1.0 for state in output.hidden_states)
    return output


@pytest.mark.parametrize(
    "model_type",
    [
        "opt",
        "xglm",
        "biogpt",
        "modernbert-decoder",
        "lfm2",
        "nanochat",
        "gemma3",
        "jamba",
        "bamba",
        "falcon_h1",
    ],
)
def test_architectures_whose_blocks_lie_elsewhere(model_type):
    """`truncate` itself compares its states with the model's; a padded batch and a cache must work as well."""
    model = small_model(model_type, AutoModelForCausalLM).requires_grad_(False)
    backbone = Backbone(truncate(model, 1), model.get_input_embeddings(), "small")
    ids = torch.tensor([[40, 41, 42, 43, 44, 45]])
    states = model(input_ids=ids, output_hidden_states=True, **accepted(model, use_cache=False)).hidden_states[1]
    prefix = backbone.prefix([[40, 41, 42], [40]])
    after = backbone.hidden(prefix, backbone.embedding(torch.tensor([[43, 44, 45], [41, 42, 43]]))[:, None])[:, 0]
    torch.testing.assert_close(after[0], states[0, 3:], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(after[1], states[0, 1:4], rtol=1e-4, atol=1e-4)


def test_hidden_states_that_are_counted_otherwise_are_refused():
    """Mamba's list begins behind its first block."""
    with pytest.raises(ModelError, match=r"what its first 1 blocks give is not hidden_states\[1\]"):
        truncate(small_model("mamba", AutoModelForCausalLM), 1)
