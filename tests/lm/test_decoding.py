"""Decoding against plain, uncached, one-row forward passes."""

from __future__ import annotations

import pytest
import torch

from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.noise import Noise, categorical
from sea_toolkit.errors import NumericalError
from sea_toolkit.lm import decoding
from sea_toolkit.lm.decoding import decode
from sea_toolkit.lm.policy import Policy
from sea_toolkit.testing.tiny import ARCHITECTURES, EOS, tiny_model, tiny_tokenizer
from tests.helpers import PROMPTS, tiny_policy

CLOSE = {"rtol": 1e-4, "atol": 2e-4}


def next_logits(policy, ids):
    with torch.no_grad():
        return policy.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].float()


def naive(policy, row, uniform, length, temperature=1.0):
    """Token by token with a full forward pass each: ids and log π, up to the end of text."""
    ids, found = list(row), []
    for i in range(length):
        logits = next_logits(policy, ids)
        if uniform is None:
            token = int(logits.argmax())
        else:
            token = int(categorical((logits / temperature).softmax(-1)[None], uniform[i : i + 1]))
        found.append(float(logits.log_softmax(-1)[token]))
        ids.append(token)
        if token in policy.eos_ids:
            break
    return ids[len(row) :], found


def easily_ended(arch: str = "llama") -> Policy:
    """A policy that ends its texts often: the end-of-text logit is raised."""
    policy = Policy(tiny_model(arch), tiny_tokenizer())
    plain = policy.logits

    def raised(hidden: torch.Tensor) -> torch.Tensor:
        logits = plain(hidden)
        logits[..., EOS] = logits.amax(-1) - 0.5
        return logits

    policy.logits = raised  # type: ignore[method-assign]
    return policy


def assert_row(found, ids, log_prob):
    n = len(ids)
    assert found.ids[:n].tolist() == ids
    assert (found.ids[n:] == EOS).all()
    torch.testing.assert_close(found.log_prob[:n], torch.tensor(log_prob), **CLOSE)
    assert (found.log_prob[n:] == 0).all()


class Row:
    def __init__(self, decoded, p, c):
        self.ids, self.log_prob = decoded.ids[p, c], decoded.log_prob[p, c]


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_greedy_decoding_equals_full_forward_passes(arch):
    policy = tiny_policy(arch)
    rows = policy.encode(PROMPTS, 12)
    found = decode(policy, policy.prefix(rows), None, length=12, chains=1)
    for p, row in enumerate(rows):
        assert_row(Row(found, p, 0), *naive(policy, row, None, 12))


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_sampling_equals_full_forward_passes(temperature):
    policy = tiny_policy()
    rows = policy.encode(PROMPTS[:2], 9)
    uniform = Noise([1, 2]).uniform(2, 9)
    found = decode(policy, policy.prefix(rows), uniform, temperature=temperature)
    for p, row in enumerate(rows):
        for c in range(2):
            assert_row(Row(found, p, c), *naive(policy, row, uniform[p, c], 9, temperature))
    if temperature == 1.0:
        assert torch.equal(found.log_prob, found.log_proposal)
    else:
        assert not torch.allclose(found.log_prob, found.log_proposal)


def test_rows_end_at_their_own_time_and_compaction_changes_nothing(monkeypatch):
    policy = easily_ended()
    rows = policy.encode(PROMPTS, 24)
    uniform = Noise([5, 6, 7]).uniform(4, 24)
    sizes = []
    plain = policy.backbone.run
    monkeypatch.setattr(policy.backbone, "run", lambda e, *a: sizes.append(e.shape[0]) or plain(e, *a))
    monkeypatch.setattr(decoding, "CHECK_EVERY", 2)
    found = decode(policy, policy.prefix(rows), uniform)
    lengths = [(found.ids[p, c] != EOS).sum().item() for p in range(3) for c in range(4)]
    assert len(set(lengths)) > 3, "the rows should end at different times"
    assert len(set(sizes)) > 1, "ended rows should leave the batch"
    for p, row in enumerate(rows):
        alone = policy.prefix([row])
        for c in range(4):
            single = decode(policy, alone, uniform[p : p + 1, c : c + 1])
            assert torch.equal(found.ids[p, c], single.ids[0, 0])
            torch.testing.assert_close(found.log_prob[p, c], single.log_prob[0, 0], **CLOSE)


def test_log_prob_is_the_policys_own():
    policy = tiny_policy()
    prefix = policy.prefix(policy.encode(PROMPTS, 10))
    found = decode(policy, prefix, Noise([1, 2, 3]).uniform(3, 10), temperature=1.5)
    until_end = (found.ids == EOS).long().cumsum(-1) - (found.ids == EOS).long() == 0
    expected = policy.log_prob(prefix, found.ids) * until_end
    torch.testing.assert_close(found.log_prob, expected, **CLOSE)


@pytest.mark.parametrize("arch", ["llama", "gemma3", "gpt2"])
@pytest.mark.parametrize("with_past", [True, False])
@pytest.mark.parametrize("cut", [1, 4, 9])
def test_a_continuation_equals_the_uncut_text(arch, with_past, cut):
    policy = tiny_policy(arch)
    prefix = policy.prefix(policy.encode(PROMPTS, 10))
    uniform = Noise([4, 5, 6]).uniform(2, 10)
    whole = decode(policy, prefix, uniform, keep_cache=True)
    assert whole.layers[0][0].shape[-2] == 9
    kept = [(k.clone(), v.clone()) for k, v in whole.layers]
    past = whole.layers if with_past else None
    rest = decode(policy, prefix, uniform[..., cut:], start=whole.ids[..., :cut], past=past, keep_cache=True)
    assert torch.equal(rest.ids, whole.ids[..., cut:])
    torch.testing.assert_close(rest.log_prob, whole.log_prob[..., cut:], **CLOSE)
    for (k, v), (k2, v2), (k3, v3) in zip(kept, rest.layers, whole.layers, strict=True):
        torch.testing.assert_close(k, k2, **CLOSE)
        torch.testing.assert_close(v, v2, **CLOSE)
        assert torch.equal(k, k3), "the past that was given must stay as it is"
        assert torch.equal(v, v3), "the past that was given must stay as it is"


def test_a_start_that_has_ended_stays_ended():
    policy = tiny_policy()
    prefix = policy.prefix(policy.encode(PROMPTS[:1], 6))
    start = torch.tensor([[[10, EOS, EOS], [10, 11, 12]]])
    found = decode(policy, prefix, Noise([1]).uniform(2, 4), start=start)
    assert (found.ids[0, 0] == EOS).all()
    assert (found.log_prob[0, 0] == 0).all()
    assert found.log_prob[0, 1, 0] < 0


def test_a_shape_makes_the_proposal_and_leaves_log_prob_alone():
    policy = tiny_policy()
    prefix = policy.prefix(policy.encode(PROMPTS[:2], 6))
    seen = []

    def only_even(before, log_probs, rows):
        seen.append((before, rows.tolist()))
        odd = torch.arange(log_probs.shape[-1]) % 2 == 1
        return log_probs.masked_fill(odd, -torch.inf)

    found = decode(policy, prefix, Noise([1, 2]).uniform(2, 6), logits_processor=only_even)
    assert (found.ids % 2 == 0).all()
    for t, (before, _) in enumerate(seen):
        assert torch.equal(before, found.ids.flatten(0, 1)[:, :t])
    assert all(rows == [0, 1, 2, 3] for _, rows in seen)
    alive = found.log_prob != 0
    torch.testing.assert_close(found.log_prob, policy.log_prob(prefix, found.ids) * alive, **CLOSE)
    # the proposal is π renormalized over the even tokens
    logits = policy.logits(prefix.last_hidden).log_softmax(-1)
    mass = logits[:, ::2].logsumexp(-1)
    torch.testing.assert_close(found.log_proposal[..., 0], found.log_prob[..., 0] - mass[:, None], **CLOSE)
    assert (found.log_proposal[alive] > found.log_prob[alive]).all()


def test_shape_sees_the_row_of_each_line_after_compaction(monkeypatch):
    policy = easily_ended()
    monkeypatch.setattr(decoding, "CHECK_EVERY", 1)
    prefix = policy.prefix(policy.encode(PROMPTS, 24))
    uniform, bias = Noise([5, 6, 7]).uniform(4, 24), torch.randn(12, 128, generator=torch.Generator().manual_seed(0))
    found = decode(policy, prefix, uniform, logits_processor=lambda before, lp, rows: lp + bias[rows])
    for p in range(3):
        alone = prefix.select(torch.tensor([p]))
        for c in range(4):
            own = bias[4 * p + c]
            single = decode(
                policy, alone, uniform[p : p + 1, c : c + 1], logits_processor=lambda ids, lp, rows, own=own: lp + own
            )
            assert torch.equal(found.ids[p, c], single.ids[0, 0])
            torch.testing.assert_close(found.log_proposal[p, c], single.log_proposal[0, 0], **CLOSE)


def test_every_end_of_text_token_ends_a_row():
    policy = Policy(tiny_model(), tiny_tokenizer())
    policy.eos_ids = (EOS, *range(64, 128))
    prefix = policy.prefix(policy.encode(PROMPTS[:1], 12))
    found = decode(policy, prefix, Noise([1]).uniform(6, 12))
    ends = torch.isin(found.ids, torch.tensor(policy.eos_ids))
    first = ends.long().argmax(-1)
    assert ends.any(-1).all()
    assert len({int(found.ids[0, c, first[0, c]]) for c in range(6)}) > 1
    for c in range(6):
        assert (found.ids[0, c, first[0, c] + 1 :] == EOS).all()


def test_ledger_counts_the_rows_that_run(monkeypatch):
    policy, ledger = easily_ended(), Ledger()
    monkeypatch.setattr(decoding, "CHECK_EVERY", 1)
    prefix = policy.prefix(policy.encode(PROMPTS[:1], 24))
    found = decode(policy, prefix, Noise([5]).uniform(1, 24), ledger=ledger)
    tokens = int((found.ids == EOS).long().argmax()) + 1
    assert tokens < 24
    assert ledger.models["policy"].forward == ledger.decode_steps == tokens
    params = policy.body_parameters + policy.head_parameters
    assert ledger.flops == 2.0 * params * tokens


def test_a_row_whose_logits_are_not_finite_ends_there_and_its_log_probability_says_so():
    policy = Policy(tiny_model(), tiny_tokenizer())
    plain, calls = policy.logits, []

    def failing(hidden):
        logits = plain(hidden)
        calls.append(len(logits))
        if len(calls) == 3:
            logits[1] = torch.nan
        return logits

    prefix = policy.prefix([[5, 6, 7]])
    uniform = Noise([0]).uniform(3, 6)
    expected = decode(policy, prefix, uniform)
    policy.logits = failing
    for greedy in (False, True):
        calls.clear()
        found = decode(policy, prefix, None if greedy else uniform, length=6, chains=3)
        assert found.ids[0, 1, 2:].tolist() == [EOS] * 4
        assert found.log_prob[0, 1].isnan().tolist() == [False, False, True, False, False, False]
        assert found.log_prob[0, [0, 2]].isfinite().all()
        if not greedy:
            assert torch.equal(found.ids[0, [0, 2]], expected.ids[0, [0, 2]])


def test_a_proposal_that_is_not_finite_is_refused():
    policy = tiny_policy()
    prefix, uniform = policy.prefix([[5, 6, 7]]), Noise([0]).uniform(2, 3)
    with pytest.raises(NumericalError, match="proposed from is not finite in 1 of 2 answers"):
        decode(
            policy,
            prefix,
            uniform,
            logits_processor=lambda ids, logp, rows: torch.where(rows[:, None] == 1, torch.nan, logp),
        )
    with pytest.raises(NumericalError):
        decode(policy, prefix, uniform, temperature=1e-40)
