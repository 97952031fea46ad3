"""Passes in parts: the same numbers, less memory."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, DynamicCache, MambaConfig, MambaForCausalLM

from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.live_bytes import LiveBytes
from sea_toolkit.core.meter import Meter
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.decoding import decode
from sea_toolkit.lm.micro_batches import MicroBatches, in_micro_batches, rows_at_once, vectors_that_fit
from sea_toolkit.lm.policy import Policy
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.readers.shown_text import ShownText
from sea_toolkit.testing.tiny import tiny_model, tiny_policy, tiny_tokenizer

PROMPTS = ["good day", "a longer prompt than that one", "what?"]
CHAINS, LENGTH = 4, 9


def of_rows(most):
    """Sizes of a run that has learned how many rows its memory holds."""
    sizes = MicroBatches()
    sizes.most = most
    return sizes


def by_block(most=1):
    """Sizes of a run that has learned that one row is too much, on a device that does not tell what is free."""
    sizes = of_rows(most)
    sizes._rooms[torch.device("cpu")] = math.inf
    sizes.by_block = True
    return sizes


def tokens_of(policy, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(4, policy.vocab_size, (len(PROMPTS), CHAINS, LENGTH), generator=generator)


def pass_over(policy, *, gaps=False):
    """Hidden states of a batch after its prompts, and a gradient through them."""
    prefix = policy.prefix(policy.encode(PROMPTS, LENGTH))
    ids = tokens_of(policy)
    mask = ids % 5 > 0 if gaps else None
    embeds = policy.backbone.embedding(ids).detach().requires_grad_()
    states = policy.backbone.hidden(prefix, embeds, mask)
    (gradient,) = torch.autograd.grad(states.square().sum(), embeds)
    return states.detach(), gradient


def mamba():
    torch.manual_seed(0)
    config = MambaConfig(vocab_size=128, hidden_size=32, num_hidden_layers=2, state_size=8, eos_token_id=2)
    return Policy(MambaForCausalLM(config).eval(), tiny_tokenizer())


@pytest.mark.parametrize("make", [*(lambda a=a: tiny_policy(a) for a in ("llama", "gemma3", "gpt2")), mamba])
def test_a_pass_in_parts_gives_the_states_and_the_gradient_of_the_whole(make):
    policy = make()
    for gaps in (False, True):
        states, gradient = pass_over(policy, gaps=gaps)
        for most in (5, 1):
            with of_rows(most).active():
                parts, again = pass_over(policy, gaps=gaps)
            torch.testing.assert_close(parts, states, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(again, gradient, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("arch", ["llama", "gemma2", "gemma3", "gpt2", "gpt_neox", "phi3"])
def test_checkpointed_blocks_give_the_same_gradient_and_leave_the_model_as_it_was(arch):
    policy = tiny_policy(arch)
    states, gradient = pass_over(policy)
    before = [dict(vars(part)) for part in policy.model.modules()]
    sizes = by_block(12)
    with sizes.active():
        again, small = pass_over(policy)
    assert [*sizes._bytes._works.values()] == [True]
    torch.testing.assert_close(again, states, rtol=1e-6, atol=1e-6)
    assert float((small - gradient).abs().max()) < 1e-6 * float(gradient.abs().max())
    assert [dict(vars(part)) for part in policy.model.modules()] == before


def test_a_block_that_reads_another_ones_cache_is_not_checkpointed():
    policy, seen = Policy(tiny_model(), tiny_tokenizer()), []
    second = policy.backbone.base.layers[1].self_attn
    run = second.forward

    def forward(*args, **kwargs):
        cache = next((value for value in kwargs.values() if isinstance(value, DynamicCache)), None)
        if cache is not None:  # as Gemma 3n does
            kwargs["hidden_states"] = kwargs["hidden_states"] + cache.layers[0].keys.mean((1, 2, 3))[:, None, None]
            seen.append(cache.layers[0].keys.shape[-2])
        return run(*args, **kwargs)

    second.forward = forward
    states, gradient = pass_over(policy)
    with by_block().active():
        again, small = pass_over(policy)
    torch.testing.assert_close(again, states, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(small, gradient, rtol=1e-5, atol=1e-5)
    assert len(set(seen)) > 1  # the trial has seen another cache


@pytest.mark.parametrize("arch", ["llama", "gpt2"])
def test_decoding_with_passes_in_parts_draws_the_same_tokens_with_the_same_cache(arch):
    policy = tiny_policy(arch)
    prefix = policy.prefix(policy.encode(PROMPTS, LENGTH))
    uniform = torch.rand(len(PROMPTS), CHAINS, 20, generator=torch.Generator().manual_seed(1))
    whole, spent = decode(policy, prefix, uniform, keep_cache=True), Ledger()
    decode(policy, prefix, uniform, ledger=spent)
    parts_spent = Ledger()
    with of_rows(5).active():
        parts = decode(policy, prefix, uniform, keep_cache=True)
        decode(policy, prefix, uniform, ledger=parts_spent)
    assert torch.equal(parts.ids, whole.ids)
    torch.testing.assert_close(parts.log_prob, whole.log_prob, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(parts.layers, whole.layers, rtol=1e-5, atol=1e-5)
    assert parts_spent.summary()["models"] == spent.summary()["models"]


def test_prompts_that_are_read_in_parts_have_the_same_cache():
    policy = tiny_policy()
    rows = policy.encode(PROMPTS, LENGTH)
    whole = policy.prefix(rows)
    with of_rows(2).active():
        parts = policy.prefix(rows)
    torch.testing.assert_close(parts.layers, whole.layers, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(parts.last_hidden, whole.last_hidden, rtol=1e-5, atol=1e-5)


def widths_of_passes(policy):
    """The rows of every pass of the base model, and a way to stop looking."""
    seen = []
    hook = policy.backbone.base.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(len(kwargs["inputs_embeds"])), with_kwargs=True
    )
    return seen, hook.remove


def test_parts_are_of_about_one_size_and_run_again_on_the_way_back():
    policy = tiny_policy()
    seen, stop = widths_of_passes(policy)
    with of_rows(5).active():
        pass_over(policy)
    stop()
    assert seen[0] == len(PROMPTS)  # which are read at once
    assert seen[1:] == [4, 4, 4, 4, 4, 4]


def test_a_limit_bounds_what_a_pass_allocates_and_no_limit_leaves_it_whole():
    policy = tiny_policy()
    prefix = policy.prefix(policy.encode(PROMPTS, LENGTH))
    embeds = policy.backbone.embedding(tokens_of(policy)).detach().requires_grad_()

    def peak(sizes):
        with sizes.active(), LiveBytes() as live:
            torch.autograd.grad(policy.backbone.hidden(prefix, embeds).sum(), embeds)
        return live.peak

    wide, tight = MicroBatches(), MicroBatches(1)
    device = torch.device("cpu")
    wide._rooms[device] = 2.0**40
    whole = peak(wide)
    tight._rooms[device] = whole / 2
    assert peak(tight) < whole / 2
    assert wide.most is tight.most is None


def test_a_row_that_does_not_fit_as_a_whole_goes_block_by_block():
    policy = Policy(tiny_model("llama", num_hidden_layers=12), tiny_tokenizer())
    prefix = policy.prefix(policy.encode(PROMPTS[:1], 200))
    embeds = policy.backbone.embedding(torch.randint(4, 128, (1, 1, 200))).detach().requires_grad_()
    device, peaks = torch.device("cpu"), []
    for room in (2.0**40, 2e6):
        sizes = MicroBatches(2**30)
        sizes._rooms[device] = room
        with sizes.active(), LiveBytes() as live:
            torch.autograd.grad(policy.backbone.hidden(prefix, embeds).sum(), embeds)
        peaks.append(live.peak)
    assert peaks[1] < 2.2e6 < 0.5 * peaks[0]


def test_a_limit_that_leaves_no_room_for_one_row_is_refused_with_both_amounts():
    policy, sizes = tiny_policy(), MicroBatches(2**30)
    sizes._rooms[torch.device("cpu")] = 1000.0
    with (
        sizes.active(),
        pytest.raises(RecipeError, match=r"does not fit: the memory limit of 1 GiB leaves 1e\+03 B to Ll"),
    ):
        pass_over(policy)


def test_a_limit_below_what_is_in_use_is_refused():
    sizes = MicroBatches(2**20)
    with pytest.raises(RecipeError, match=r"a memory limit of 1 MiB, and .* are in use before the first pass"):
        sizes.room(torch.device("cpu"))


def test_logits_follow_the_same_room():
    sizes, device = MicroBatches(), torch.device("cpu")
    sizes._rooms[device] = 1000.0
    assert vectors_that_fit(7, 1e9, device) == 7  # outside of a run
    with sizes.active():
        assert vectors_that_fit(100, 1.0, device) == 100
        assert vectors_that_fit(100, 50.0, device) == 10
        assert vectors_that_fit(3, 1e9, device) == 1
    assert not sizes.shrink()  # they are no passes


def test_halving_goes_from_the_largest_pass_down_to_one_row_and_its_blocks():
    sizes = MicroBatches()
    assert not sizes.shrink()  # no pass has been taken: nothing can be smaller
    with sizes.active():
        for expected in (12, 6, 3, 1):
            assert rows_at_once(24) >= expected
            sizes.shrink()
            assert sizes.most == expected
        assert not sizes.by_block
        rows_at_once(24)
        assert sizes.shrink()
        assert (sizes.most, sizes.by_block) == (1, True)
        rows_at_once(24)
        assert not sizes.shrink()


def test_a_pass_that_is_run_again_is_counted_once():
    model = torch.nn.Linear(8, 8, bias=False).requires_grad_(False)
    counts = []
    for most in (None, 2):
        ledger = Ledger()
        meter = Meter(ledger)
        meter.announce("model", model)
        rows = torch.randn(6, 3, 8).requires_grad_()
        sizes = of_rows(most)
        with sizes.active(), meter.counting():
            value = in_micro_batches(model, rows, lambda part, rows: model(rows).tanh()).sum()
            torch.autograd.grad(value, rows)
        counts.append(ledger.summary()["models"])
    assert counts[0] == counts[1]
    assert counts[0]["model"]["backward"] == 18


def test_an_encoder_reads_its_rows_in_parts():
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = BertConfig(vocab_size=128, max_position_embeddings=64, initializer_range=0.15, num_labels=2, **sizes)
    model = BertForSequenceClassification(config).eval().requires_grad_(False)
    reader = ClassifierReader(model, ShownText(tiny_tokenizer(), "bert"))
    mask = torch.rand(2, 3, 7) < 0.8
    given = torch.randn(2, 3, 7, 32)

    def read():
        embeds = given.clone().requires_grad_()
        outputs = reader.read(embeds, mask, [[5, 6], [7]])
        return outputs.detach(), torch.autograd.grad(outputs.sum(), embeds)[0]

    whole = read()
    with of_rows(4).active():
        torch.testing.assert_close(read(), whole, rtol=1e-5, atol=1e-5)
