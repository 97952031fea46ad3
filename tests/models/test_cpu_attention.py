"""Attention on a CPU, where transformers lets it be exchanged: half precision, and heads that share keys and values."""

from __future__ import annotations

import pytest
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from sea_toolkit.models.cpu_attention import NAME, cpu_attention
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.loading import load_encoder, load_policy, read_classifier
from sea_toolkit.models.policy_spec import PolicySpec
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.testing.tiny import tiny_model, tiny_policy, tiny_tokenizer
from tests.models.folders import save_classifier, save_policy

CPU = torch.device("cpu")


def loaded(folder, **spec):
    return load_policy(PolicySpec(model=str(folder), device="cpu", **spec), ModelFinder(PluginHub.discover(plugins=())))


@pytest.fixture
def folder(tmp_path):
    return save_policy(tmp_path / "m")


class Layer(torch.nn.Module):
    is_causal = True
    num_key_value_groups = 2


@pytest.mark.parametrize("mask", ["none", "boolean", "added"])
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_it_is_nearer_to_attention_in_float32_than_the_kernel_for_the_type_and_so_is_its_gradient(mask, half):
    noise = torch.Generator().manual_seed(0)
    query = torch.randn(3, 4, 5, 16, generator=noise).to(half)
    key, value = (torch.randn(3, 2, 9, 16, generator=noise).to(half) for _ in range(2))
    seen = torch.ones(5, 9, dtype=torch.bool).tril(4)[None, None].expand(3, 1, 5, 9)
    masks = {"none": None, "boolean": seen, "added": torch.zeros(3, 1, 5, 9).masked_fill(~seen, -torch.inf).to(half)}

    def outcome(attention, dtype):
        inputs = [x.to(dtype, copy=True).requires_grad_() for x in (query, key, value)]
        given = masks[mask].to(dtype) if mask == "added" else masks[mask]
        output, _ = attention(Layer(), *inputs, given, scaling=0.25)
        output.float().square().sum().backward()
        return [output.detach().float(), *(x.grad.float() for x in inputs)]

    truth = outcome(sdpa_attention_forward, torch.float32)
    kernel, ours = outcome(sdpa_attention_forward, half), outcome(cpu_attention, half)
    for t, k, o in zip(truth, kernel, ours, strict=True):
        assert o.shape == k.shape
        assert (o - t).norm() <= 1.01 * (k - t).norm()
        assert (o - t).norm() < 0.01 * t.norm()


@pytest.mark.parametrize("heads_of_mask", [1, 4])
@pytest.mark.parametrize("added", [False, True])
def test_heads_that_share_keys_give_what_copies_give_to_the_last_bit_without_the_copies(
    added, heads_of_mask, monkeypatch
):
    noise = torch.Generator().manual_seed(0)
    query = torch.randn(3, 4, 5, 16, generator=noise)
    key, value = (torch.randn(3, 2, 9, 16, generator=noise) for _ in range(2))
    seen = torch.ones(5, 9, dtype=torch.bool).tril(4).expand(3, heads_of_mask, 5, 9)
    mask = torch.zeros(3, heads_of_mask, 5, 9).masked_fill(~seen, -torch.inf) if added else seen

    def outcome(attention):
        inputs = [x.clone().requires_grad_() for x in (query, key, value)]
        output, _ = attention(Layer(), *inputs, mask, scaling=0.25, dropout=0.0)
        output.square().sum().backward()
        return [output.detach(), *(x.grad for x in inputs)]

    copies = outcome(sdpa_attention_forward)
    monkeypatch.setattr("transformers.integrations.sdpa_attention.repeat_kv", None)  # calling it would fail
    for mine, theirs in zip(outcome(cpu_attention), copies, strict=True):
        assert torch.equal(mine, theirs)


def test_biases_of_places_and_caps_are_left_to_transformers():
    query, key = torch.randn(1, 4, 5, 16), torch.randn(1, 2, 5, 16)
    mask, bias = torch.ones(1, 1, 5, 5, dtype=torch.bool).tril(), torch.randn(1, 4, 5, 5)
    mine, theirs = (
        f(Layer(), query, key, key, mask, position_bias=bias)[0] for f in (cpu_attention, sdpa_attention_forward)
    )
    assert torch.equal(mine, theirs)
    assert not torch.allclose(mine, cpu_attention(Layer(), query, key, key, mask)[0])
    with pytest.raises(ValueError, match="softcap"):
        cpu_attention(Layer(), query, key, key, mask, softcap=1.0)


def test_a_policy_in_bfloat16_on_a_cpu_has_it_and_says_what_it_said(folder):
    policy, plain = loaded(folder, dtype="bfloat16"), loaded(folder, dtype="bfloat16", attention="sdpa")
    assert policy.model.config._attn_implementation == NAME
    assert plain.model.config._attn_implementation == "sdpa"
    rows = [[3, 4, 5, 6, 7], [8, 9]]  # of two lengths: the padding must stay unseen
    ids = torch.tensor([[[5, 6, 7]], [[7, 6, 5]]])
    a, b = (p.log_prob(p.prefix(rows), ids) for p in (policy, plain))
    assert (a - b).abs().max() < 0.05
    alone = policy.log_prob(policy.prefix(rows[1:]), ids[1:])
    assert (alone - a[1:]).abs().max() < 0.05


def test_a_policy_in_float32_says_the_very_same_with_it(folder):
    policy, plain = loaded(folder, dtype="float32"), loaded(folder, dtype="float32", attention="sdpa")
    assert policy.model.config._attn_implementation == NAME
    assert policy.model.config.num_key_value_heads < policy.model.config.num_attention_heads
    ids = torch.tensor([[[5, 6, 7]], [[7, 6, 5]]])
    a, b = (p.log_prob(p.prefix([[3, 4, 5, 6, 7], [8, 9]]), ids) for p in (policy, plain))
    assert torch.equal(a, b)


def test_an_attention_that_was_asked_for_is_left_alone(folder):
    assert loaded(folder, dtype="float32", attention="sdpa").model.config._attn_implementation == "sdpa"
    assert loaded(folder, dtype="bfloat16", attention="eager").model.config._attn_implementation == "eager"


def test_rewards_have_it_as_well(tmp_path):
    policy = tiny_policy()
    place = type("Place", (), {"device": CPU, "dtype": torch.bfloat16})
    save_classifier(tmp_path / "c", labels=1)
    assert read_classifier(tmp_path / "c", place, "c").config._attn_implementation == NAME
    tiny_model("bert").save_pretrained(tmp_path / "b")
    tiny_tokenizer().save_pretrained(tmp_path / "b")
    model, _ = load_encoder(tmp_path / "b", place, "b")
    assert model.config._attn_implementation == NAME
    assert policy.model.config._attn_implementation == "sdpa"


def test_a_family_that_asks_for_the_name_of_its_attention_keeps_its_own(tmp_path):
    model = tiny_model("falcon")
    model.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    assert loaded(tmp_path, dtype="bfloat16").model.config._attn_implementation in ("sdpa", "eager")
