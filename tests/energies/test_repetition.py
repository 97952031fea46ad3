"""The energy `repetition`: pairs of equal n-grams, counted in a text and expected of a relaxed answer."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sea_toolkit.core.gradient_taps import TokenGradient
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.energies.repetition import Repetition
from sea_toolkit.testing import Setting, check_energy
from sea_toolkit.testing.tiny import EOS
from tests.helpers import hub, run_for
from tests.runs.test_resume import assert_same


def pairs(row, n):
    """By counting."""
    row = row[: row.index(EOS)] if EOS in row else row
    grams = Counter(tuple(row[i : i + n]) for i in range(len(row) - n + 1))
    return sum(k * (k - 1) // 2 for k in grams.values())


@settings(max_examples=100)
@given(
    st.lists(st.lists(st.sampled_from([5, 6, 7, EOS]), min_size=7, max_size=7), min_size=2, max_size=2),
    st.integers(1, 4),
)
def test_a_text_has_its_pairs_of_equal_ngrams(rows, n):
    response = SoftResponse.from_ids(torch.tensor([rows]), (EOS,))
    assert Repetition(n=n).energy(response).tolist() == [[pairs(row, n) for row in rows]]


@pytest.mark.parametrize("length", [1, 2])
def test_a_run_shorter_than_two_ngrams_has_none(length):
    weights = torch.full((1, 1, length, 128), 1 / 128).requires_grad_()
    value = Repetition(n=2).energy(SoftResponse.from_weights(weights, None, (EOS,)))
    assert value.tolist() == [[0.0]]
    assert torch.autograd.grad(value.sum(), weights)[0].isfinite().all()


@pytest.mark.parametrize("n", [1, 2])
def test_a_relaxed_answer_costs_the_expectation(n):
    """Against all token sequences; for n = 2, of n-grams that share no position."""
    weights = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(n)).softmax(-1)
    if n == 2:
        weights[0, 0, 1:3] = torch.eye(4)[:2]  # no run of equal tokens, so no pair that overlaps
    candidates = torch.tensor([5, 6, 7, 8]).expand(1, 1, 4, -1)
    expected = 0.0
    for row in itertools.product(range(4), repeat=4):
        p = 1.0
        for t, k in enumerate(row):
            p *= float(weights[0, 0, t, k])
        expected += p * pairs([5 + k for k in row], n)
    found = Repetition(n=n).energy(SoftResponse.from_weights(weights, candidates, (EOS,)))
    assert found.item() == pytest.approx(expected, abs=1e-5)


def test_what_may_lie_behind_the_end_counts_as_far_as_it_is_there():
    weights = torch.zeros(1, 1, 3, 128)
    weights[..., 0, 5] = weights[..., 2, 5] = 1.0
    weights[..., 1, 7], weights[..., 1, EOS] = 0.6, 0.4
    found = Repetition(n=1).energy(SoftResponse.from_weights(weights, None, (EOS,)))
    assert found.item() == pytest.approx(0.6)


def test_completing_an_ngram_again_has_a_slope():
    ids = torch.tensor([[[5, 6, 9, 5, 8, 7]]])
    tapped = SoftResponse.from_ids(ids, (EOS,)).with_gradient_taps()
    slope = tapped.taps.gradient(Repetition(n=2).energy(tapped).sum())
    steep = slope.over_vocabulary(4, 128)[0, 0]
    assert steep[6] == 1.0  # 5 6 … 5 6
    assert steep.abs().sum() == 1.0


@pytest.mark.parametrize("n", [1, 2, 3])
def test_it_keeps_its_promises(n):
    check_energy("repetition", Setting(hub=hub(), texts=["the the the the", "anananan", "aaaaaaaaa"]), n=n)


def test_overlap_by_its_definition():
    weights = torch.rand(2, 2, 3, 128, generator=torch.Generator().manual_seed(0)).softmax(-1)
    full = SoftResponse.from_weights(weights, None, (EOS, 9)).overlap()
    kept = weights.clone()
    kept[..., [EOS, 9]] = 0.0
    torch.testing.assert_close(full, torch.einsum("pcsv,pctv->pcst", kept, kept))
    # the same over candidates in any order, one of them twice
    order = torch.rand(2, 2, 3, 128, generator=torch.Generator().manual_seed(1)).argsort(-1)
    part = weights.gather(-1, order)
    twice = torch.cat([part[..., :1] * 0.25, part[..., 1:], part[..., :1] * 0.75], -1)
    few = SoftResponse.from_weights(twice, torch.cat([order, order[..., :1]], -1), (EOS, 9))
    torch.testing.assert_close(few.overlap(), full)


def test_slopes_of_own_tokens_add_up():
    names = torch.tensor([[[5, 6, 5]]])
    grad = torch.arange(6.0).view(1, 1, 2, 3)
    slope = TokenGradient([], [], [(names, grad)])
    assert slope.over_vocabulary(1, 8)[0, 0].tolist() == [0, 0, 0, 0, 0, 3 + 5, 4, 0]
    mean = slope.mean(torch.tensor([[2.0]]))
    assert mean.over_vocabulary(0, 8)[0, 0].tolist() == [0, 0, 0, 0, 0, (0 + 2 + 3 + 5) / 2, (1 + 4) / 2, 0]


@pytest.mark.parametrize("sampler", ["tilted", "tilted-exact"])
def test_a_resumed_run_knows_each_chains_tokens(sampler, tmp_path):
    terms = [{"name": "reference"}, {"name": "repetition", "n": 1, "weight": 3.0}, {"name": "length", "target": 5.0}]
    given = {"sampler": sampler, "steps": 5, "recipe": {"energies": terms}}
    run_for(tmp_path / "whole", **given).execute()
    run_for(tmp_path / "cut", stop_after=2, **given).execute()
    again = run_for(tmp_path / "cut", **given)
    again.resume()
    again.execute()
    assert_same(tmp_path / "whole", tmp_path / "cut")
