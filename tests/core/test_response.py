"""Soft and hard responses: survival, content, embeddings, and gradients over the vocabulary through taps."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sea_toolkit.core.gradient_taps import TokenGradient
from sea_toolkit.core.response import SoftResponse, survival
from sea_toolkit.testing.tiny import EOS
from tests.helpers import dense, random_ids, sparse, tiny_policy


def soft(shape=(2, 2, 5), vocab=12, eos=(2,), seed=0, k=None, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    if k is None:
        weights, candidates = torch.randn(*shape, vocab, generator=g, dtype=dtype).softmax(-1), None
    else:
        weights = torch.randn(*shape, k, generator=g, dtype=dtype).softmax(-1)
        candidates = torch.rand(*shape, vocab, generator=g).argsort(-1)[..., :k]
    return SoftResponse.from_weights(weights, candidates, eos)


@pytest.mark.parametrize("eos", [(2,), (2, 5, 7)])
@pytest.mark.parametrize("k", [None, 6])
def test_survival_content_and_length_as_defined(eos, k):
    r = soft(eos=eos, k=k)
    full = torch.zeros(2, 2, 5, 12, dtype=torch.float64)
    full = r.weights if k is None else full.scatter(-1, r.candidates, r.weights)
    p_eos = full[..., list(eos)].sum(-1)
    torch.testing.assert_close(r.probability(eos).sum(-1), p_eos)
    for p in range(2):
        for c in range(2):
            alive = 1.0
            for t in range(5):
                assert float(r.alive[p, c, t]) == pytest.approx(alive)
                alive *= 1 - float(p_eos[p, c, t])
                assert float(r.content[p, c, t]) == pytest.approx(alive)
    torch.testing.assert_close(r.expected_length(), r.alive.sum(-1))


def test_expected_length_is_the_mean_of_the_random_length():
    r = soft(shape=(1, 1, 3))
    p = r.probability((2,))[0, 0, :, 0]
    mean = 1 * p[0] + 2 * (1 - p[0]) * p[1] + 3 * (1 - p[0]) * (1 - p[1])
    torch.testing.assert_close(r.expected_length()[0, 0], mean)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=8))
def test_hard_survival_ends_behind_the_first_end_of_text(row):
    ids = torch.tensor([[row]])
    r = SoftResponse.from_ids(ids, (2, 3))
    end = next((i for i, x in enumerate(row) if x in (2, 3)), None)
    n = len(row) if end is None else end + 1
    assert r.alive[0, 0].tolist() == [1.0] * n + [0.0] * (len(row) - n)
    assert r.content[0, 0].tolist() == [1.0] * (n if end is None else end) + [0.0] * (
        len(row) - (n if end is None else end)
    )
    assert float(r.expected_length()) == n


def test_a_mask_ends_a_row_without_an_end_of_text():
    mask = torch.tensor([[[True, True, False]]])
    r = SoftResponse.from_ids(torch.tensor([[[5, 6, 2]]]), (2,), mask)
    assert r.alive.tolist() == [[[1.0, 1.0, 0.0]]]
    assert r.content.tolist() == [[[1.0, 1.0, 0.0]]]


@pytest.mark.parametrize("k", [None, 6])
def test_gradient_of_the_expected_length_by_finite_differences(k):
    r = soft(k=k, eos=(2, 5))
    z = r.weights.log().requires_grad_()

    def length(z):
        return SoftResponse.from_weights(z.softmax(-1), r.candidates, (2, 5)).expected_length()

    assert torch.autograd.gradcheck(length, (z,))
    (gradient,) = torch.autograd.grad(length(z).sum(), z)
    assert gradient.abs().sum() > 0


def test_a_certain_end_of_text_still_has_a_gradient():
    weights = torch.zeros(1, 1, 4, 6, dtype=torch.float64)
    weights[..., [0, 1, 2, 3], [4, 2, 4, 4]] = 1.0
    weights.requires_grad_()
    r = SoftResponse.from_weights(weights, None, (2,))
    (gradient,) = torch.autograd.grad(r.expected_length().sum(), weights)
    assert gradient.isfinite().all()
    # without the end at position 1 the two tokens behind it would count
    assert gradient[0, 0, 1, 2] == -2


@pytest.mark.parametrize("form", [dense, sparse])
def test_forms_of_one_text_read_alike(form):
    ids = random_ids(2, 3, 6)
    ids[0, 1, 3] = EOS
    hard, other = SoftResponse.from_ids(ids, (EOS,)), form(ids)
    table = tiny_policy().table
    assert torch.equal(other.ids, ids)
    torch.testing.assert_close(other.embed(table), hard.embed(table))
    assert torch.equal(other.alive, hard.alive)
    assert torch.equal(other.content, hard.content)
    wanted = [5, 17, int(ids[0, 0, 0]), EOS]
    assert torch.equal(other.probability(wanted), hard.probability(wanted))


@pytest.mark.parametrize("k", [None, 6])
def test_a_mixture_is_the_expected_embedding(k):
    r, table = soft(k=k), torch.randn(12, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = torch.zeros(2, 2, 5, 7, dtype=torch.float64)
    for i in range(r.weights.shape[-1]):
        rows = table[torch.full((2, 2, 5), i)] if k is None else table[r.candidates[..., i]]
        expected += r.weights[..., i, None] * rows
    torch.testing.assert_close(r.embed(table), expected)


def test_embeddings_come_in_the_tables_dtype_and_keep_the_gradient():
    r = soft(k=6, dtype=torch.float32)
    w = r.weights.clone().requires_grad_()
    mixed = SoftResponse(w, r.candidates, r.ids, r.alive, r.eos_ids).embed(torch.ones(12, 4, dtype=torch.bfloat16))
    assert mixed.dtype == torch.bfloat16
    (gradient,) = torch.autograd.grad(mixed.float().sum(), w)
    assert gradient.dtype == torch.float32
    assert (gradient == 4).all()


def energy_of(tables, tokens):
    """An energy that reads two tables, probabilities, survival and content, and is linear in none of them."""

    def energy(r):
        first = (r.embed(tables[0]).square().sum(-1) * r.alive).sum(-1)
        second = torch.tanh(r.embed(tables[1]).sum(-1) * r.content).sum(-1)
        third = torch.sin(r.probability(tokens).sum(-1).cumsum(-1)).sum(-1)
        return first + second + third + r.expected_length().square()

    return energy


@pytest.mark.parametrize("form", ["hard", "sparse"])
@pytest.mark.parametrize("ended", [False, True])
def test_taps_give_the_gradient_over_the_whole_vocabulary(form, ended):
    vocab, eos = 12, (2, 5)
    g = torch.Generator().manual_seed(0)
    tables = [torch.randn(vocab, d, generator=g, dtype=torch.float64) for d in (4, 3)]
    energy = energy_of(tables, [1, 5, 9])
    ids = torch.tensor([[[1, 7, 9, 3], [9, 4, 11, 6]]])
    if ended:
        ids[0, 1, -1] = 5
    weights = torch.nn.functional.one_hot(ids, vocab).double().requires_grad_()
    full = SoftResponse.from_weights(weights, None, eos)
    (expected,) = torch.autograd.grad(energy(full).sum(), weights)

    if form == "hard":
        response = SoftResponse.from_ids(ids, eos)
        # float64 weights, to compare beyond float32
        response = SoftResponse(response.weights.double(), response.candidates, ids, response.alive.double(), eos)
    else:
        others = torch.tensor([0, 8, 10]).expand(1, 2, 4, 3)
        candidates = torch.cat([others[..., :2], ids[..., None], others[..., 2:]], -1)
        hot = torch.tensor([0.0, 0, 1, 0], dtype=torch.float64).expand(1, 2, 4, 4)
        response = SoftResponse.from_weights(hot, candidates, eos)
    tapped = response.with_gradient_taps()
    total = energy(tapped)
    torch.testing.assert_close(total, energy(full).detach(), check_dtype=False)
    slope = tapped.taps.gradient(total.sum())
    for t in range(4):
        torch.testing.assert_close(slope.over_vocabulary(t, vocab).double(), expected[:, :, t], rtol=1e-5, atol=1e-5)
    assert len(slope.tables) == 2
    assert len(slope.tokens) == 2


def test_taps_leave_out_what_lies_behind_the_end():
    ids = torch.tensor([[[1, 7, 2, 2]]])
    table = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    tapped = SoftResponse.from_ids(ids, (2,)).with_gradient_taps()
    total = (tapped.embed(table).square().sum(-1) * tapped.alive).sum()
    slope = tapped.taps.gradient(total)
    assert slope.over_vocabulary(2, 12).abs().sum() > 0
    assert slope.over_vocabulary(3, 12).abs().sum() == 0


def test_taps_of_an_energy_that_reads_nothing_are_zero():
    tapped = SoftResponse.from_ids(torch.tensor([[[1, 2]]]), (2,)).with_gradient_taps()
    slope = tapped.taps.gradient(torch.zeros(()))
    assert slope.over_vocabulary(0, 12).abs().sum() == 0


def test_the_mean_slope_is_over_the_text_alone():
    table = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    tapped = SoftResponse.from_ids(torch.tensor([[[1, 7, 5, 4], [3, 2, 2, 2]]]), (2,)).with_gradient_taps()
    score = torch.tanh(tapped.embed(table)).sum(-1) + tapped.probability((4, 7))[..., 0]
    slope = tapped.taps.gradient(score.sum())
    rows = torch.stack([slope.over_vocabulary(t, 12) for t in range(4)], 2)
    mean = slope.mean(torch.tensor([[3.0, 2.0]])).over_vocabulary(0, 12)
    torch.testing.assert_close(mean[0, 0], rows[0, 0, :3].mean(0))
    torch.testing.assert_close(mean[0, 1], rows[0, 1, :2].mean(0))
    outside = torch.ones(1, 2, 4, 4)
    outside[0, 0, 3], outside[0, 1] = torch.nan, torch.inf
    found = TokenGradient([(table, outside)], []).mean(torch.tensor([[3.0, 0.0]])).over_vocabulary(0, 12)
    torch.testing.assert_close(found[0], torch.stack([table.sum(-1), torch.zeros(12)]))
    without = TokenGradient([(table, outside)], []).without(torch.tensor([[True, False]])).grads[0]
    assert without[0, 0].abs().sum() == 0
    assert torch.equal(without[0, 1], outside[0, 1])


def test_survival_of_certain_ends():
    p = torch.tensor([[[0.0, 1.0, 0.0]]])
    assert survival(p).tolist() == [[[1.0, 1.0, 0.0]]]
