"""Eleven architectures read soft, hard, cached, padded and batched input alike."""

from __future__ import annotations

import pytest
import torch

from sea_toolkit.lm.policy import Policy
from sea_toolkit.testing.tiny import ARCHITECTURES, EOS, tiny_model, tiny_tokenizer
from tests.helpers import PROMPTS, dense, random_ids, sparse, tiny_policy

CLOSE = {"rtol": 1e-4, "atol": 2e-4}


def plain_logits(policy, prompt_ids, response_ids):
    """The model itself on one unpadded sequence: logits that predict each response token."""
    ids = torch.tensor([[*prompt_ids, *response_ids.tolist()]])
    with torch.no_grad():
        return policy.model(input_ids=ids, use_cache=False).logits[0, len(prompt_ids) - 1 : -1].float()


@pytest.fixture(params=ARCHITECTURES)
def policy(request):
    return tiny_policy(request.param)


def test_the_head_of_a_mixture_of_experts_is_understood():
    policy = Policy(tiny_model("mixtral", num_local_experts=2), tiny_tokenizer())
    rows, ids = policy.encode(PROMPTS, 6), random_ids(3, 1, 6)
    found = policy.log_prob(policy.prefix(rows), ids)
    expected = plain_logits(policy, rows[0], ids[0, 0]).log_softmax(-1).gather(-1, ids[0, 0, :, None]).squeeze(-1)
    torch.testing.assert_close(found[0, 0], expected, **CLOSE)


@pytest.mark.parametrize("form", ["hard", "dense", "sparse"])
def test_one_hot_input_gives_the_logits_of_the_ids_behind_a_padded_prompt_cache(policy, form):
    rows = policy.encode(PROMPTS, 8)
    assert len({len(r) for r in rows}) == 3
    ids = random_ids(3, 2, 8)
    prefix = policy.prefix(rows)
    if form == "hard":
        embeds = policy.backbone.embedding(ids)
    else:
        response = dense(ids) if form == "dense" else sparse(ids)
        assert torch.equal(response.ids, ids)
        embeds = response.embed(policy.table)
    hidden = policy.predictors(prefix, embeds)
    logits = policy.logits(hidden)
    for p, row in enumerate(rows):
        for c in range(2):
            torch.testing.assert_close(logits[p, c], plain_logits(policy, row, ids[p, c]), **CLOSE)


def test_gradients_reach_every_embedding_that_is_read(policy):
    prefix = policy.prefix(policy.encode(PROMPTS, 6))
    embeds = policy.backbone.embedding(random_ids(3, 2, 6)).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(policy.predictors(prefix, embeds)[:, :, -1].square().sum(), embeds)
    assert gradient[:, :, :-1].abs().sum(-1).min() > 0
    assert gradient[:, :, -1].abs().max() == 0, "the last token predicts nothing"


def test_two_calls_agree_and_the_cache_stays_as_it_is(policy):
    prefix = policy.prefix(policy.encode(PROMPTS, 6))
    kept = [(k.clone(), v.clone()) for k, v in prefix.layers]
    embeds = policy.backbone.embedding(random_ids(3, 2, 6))
    first, second = policy.predictors(prefix, embeds), policy.predictors(prefix, embeds)
    assert torch.equal(first, second)
    for (k, v), (k2, v2) in zip(kept, prefix.layers, strict=True):
        assert torch.equal(k, k2)
        assert torch.equal(v, v2)


def test_a_prompt_does_not_depend_on_its_neighbors(policy):
    rows = policy.encode(PROMPTS, 6)
    ids = random_ids(3, 2, 6)
    together = policy.log_prob(policy.prefix(rows), ids)
    for p, row in enumerate(rows):
        alone = policy.log_prob(policy.prefix([row]), ids[p : p + 1])
        torch.testing.assert_close(together[p : p + 1], alone, **CLOSE)


def test_head_equals_the_models_own(policy):
    ids = random_ids(2, 9)
    with torch.no_grad():
        hidden = policy.backbone.base(input_ids=ids, use_cache=False)[0]
        expected = policy.model(input_ids=ids, use_cache=False).logits
        assert torch.equal(policy.logits(hidden), expected.float())
        # the model is as it was: its base is not the stand-in of the head
        assert torch.equal(policy.model(input_ids=ids, use_cache=False).logits, expected)


def test_log_prob_equals_a_plain_forward(policy):
    rows, ids = policy.encode(PROMPTS, 7), random_ids(3, 2, 7)
    ids[0, 0, 4:] = EOS
    found = policy.log_prob(policy.prefix(rows), ids, chunk_rows=5)
    for p, row in enumerate(rows):
        for c in range(2):
            expected = plain_logits(policy, row, ids[p, c]).log_softmax(-1).gather(-1, ids[p, c, :, None]).squeeze(-1)
            torch.testing.assert_close(found[p, c], expected, **CLOSE)


@pytest.mark.parametrize("with_prefix", [True, False])
def test_masked_tokens_are_skipped_as_if_they_were_not_there(policy, with_prefix):
    rows, ids = policy.encode(PROMPTS[:2], 8), random_ids(2, 2, 8)
    mask = torch.tensor([1, 1, 0, 1, 0, 0, 1, 1]).bool().expand(2, 2, 8).clone()
    mask[0, 1] = torch.tensor([0, 1, 1, 1, 1, 1, 0, 0])
    prefix = policy.prefix(rows) if with_prefix else None
    found = policy.backbone.hidden(prefix, policy.backbone.embedding(ids), mask)
    for p, row in enumerate(rows):
        for c in range(2):
            before = row if with_prefix else []
            kept = torch.tensor([[*before, *ids[p, c][mask[p, c]].tolist()]])
            with torch.no_grad():
                expected = policy.backbone.base(input_ids=kept, use_cache=False)[0][0, len(before) :]
            torch.testing.assert_close(found[p, c][mask[p, c]], expected, **CLOSE)
