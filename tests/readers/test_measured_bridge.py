"""What is measured of a bridge: the scores of words, their mixture with the gradient, its file, and what a run says."""

from __future__ import annotations

import copy
import os
from dataclasses import replace

import pytest
import torch

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.readers import bridge, bridge_file
from sea_toolkit.readers.bridge import plain_bridge
from sea_toolkit.readers.bridge_file import bridge_key, bridge_path, read_bridge, write_bridge
from sea_toolkit.readers.bridge_samples import PROMPTS, sample
from sea_toolkit.readers.bridged_scorer import BridgedScorer
from sea_toolkit.readers.classifiers import scorer_for
from sea_toolkit.readers.fidelity import Correlations, Fidelity, fidelity_of, mixture_weights, rank_correlation
from sea_toolkit.readers.make_bridge import bridge_for, measured_bridge
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.readers.shown_text import ShownText
from sea_toolkit.readers.text_scorer import TextScorer
from sea_toolkit.testing.bridge_reference import negated, slope_of
from sea_toolkit.testing.foreign import foreign_classifier
from tests.helpers import dense, hub, random_ids, tiny_policy
from tests.readers.test_bridge import context_of, texts_of


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """A cache of this module's own."""
    folder = tmp_path_factory.getbasetemp() / "bridges"
    monkeypatch.setenv("SEA_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def reader():
    model, tokenizer = foreign_classifier()
    return ClassifierReader(model, ShownText(tokenizer, "foreign", "response"))


def made(reader):
    return bridge_for(reader, tiny_policy(), ModelFinder(hub()))


def test_words_are_scored_as_answers_by_themselves(reader):
    measured, policy = made(reader).measured, tiny_policy()
    pieces = made(reader).pieces.pieces
    rows = [[2, *row, 3] for row in pieces if row]
    with torch.no_grad():
        own = torch.stack([reader.model(torch.tensor([row])).logits[0, 0] for row in rows])
    known = torch.tensor([bool(row) for row in pieces])
    scores = measured.prior.scores[:, 0]
    torch.testing.assert_close(scores[known], own - own.mean(), rtol=1e-4, atol=1e-4)
    assert bool((scores[~known] == 0).all())
    assert len(scores) == policy.vocab_size


def test_the_gradient_is_the_weighted_sum_of_both_and_the_value_is_exact(reader):
    policy, measured = tiny_policy(), made(reader).measured
    context = context_of(policy)
    plain = BridgedScorer(reader, replace(made(reader), measured=None), context)
    mixed = BridgedScorer(reader, made(reader), context)
    response, _ = texts_of(policy)
    torch.testing.assert_close(mixed(response.with_gradient_taps()), plain(response.with_gradient_taps()))
    length = (response.content > 0.5).sum(-1)[..., None, None]
    words = torch.where(response.content[..., None] > 0.5, measured.prior.scores[:, 0], torch.tensor(0.0)) / length
    expected = measured.prior.gradient_weight * slope_of(plain, response) + measured.prior.word_weight * words
    torch.testing.assert_close(slope_of(mixed, response), expected, rtol=1e-3, atol=1e-4)


def test_a_relaxed_response_has_the_same_value_with_and_without_a_gradient(reader):
    scorer = BridgedScorer(reader, made(reader), context_of(tiny_policy()))
    relaxed = dense(random_ids(2, 2, 6, low=10))
    soft = SoftResponse.from_weights(0.7 * relaxed.weights + 0.3 / relaxed.weights.shape[-1], None, relaxed.eos_ids)
    with torch.no_grad():
        without = scorer(soft)
    again = SoftResponse.from_weights(soft.weights.clone().requires_grad_(), None, soft.eos_ids)
    torch.testing.assert_close(scorer(again).detach(), without)


def test_a_measured_bridge_is_read_back_as_it_was(reader):
    first = made(reader)
    again = read_bridge(reader, tiny_policy())
    assert again.pieces == first.pieces
    assert again.fingerprint == first.fingerprint
    assert again.measured.fidelity == first.measured.fidelity
    assert again.measured.probability == pytest.approx(first.measured.probability)
    torch.testing.assert_close(again.table, first.table, rtol=0, atol=0)


@pytest.mark.parametrize("damage", [lambda raw: raw[:-3], lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]), lambda raw: b""])
def test_a_damaged_file_counts_as_none(reader, damage):
    bridge = made(reader)
    path = bridge_path(bridge_key(reader, tiny_policy()))
    path.write_bytes(damage(path.read_bytes()))
    assert read_bridge(reader, tiny_policy()) is None
    write_bridge(reader, tiny_policy(), bridge)
    assert read_bridge(reader, tiny_policy()).fingerprint == bridge.fingerprint


def test_a_cache_that_cannot_be_written_costs_nothing_but_the_next_measurement(reader, tmp_path, monkeypatch):
    bridge = made(reader)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SEA_CACHE", str(tmp_path / "file"))
    write_bridge(reader, tiny_policy(), bridge)
    assert read_bridge(reader, tiny_policy()) is None


def test_the_key_has_everything_that_the_measurement_depends_on(reader):
    policy, other = tiny_policy(), tiny_policy("gpt2")
    chat = ClassifierReader(reader.model, ShownText(reader.shown.tokenizer, "foreign", "chat"))
    keys = [bridge_key(r, p) for r, p in ((reader, policy), (reader, other), (chat, policy))]
    keys.append(bridge_key(ClassifierReader(negated(reader), reader.shown), policy))
    assert len(set(keys)) == 4
    assert bridge_key(ClassifierReader(reader.model, reader.shown), policy) == keys[0]


def test_what_would_take_long_is_not_measured_by_a_run(reader, monkeypatch):
    monkeypatch.setitem(bridge._FLOPS, "cpu", 1e3)
    monkeypatch.setattr(bridge_file, "FORMAT", "another")
    found = made(reader)
    assert found.measured is None
    scorer = scorer_for(reader, context_of(tiny_policy()))
    assert scorer.fingerprint is None
    assert "through a bridge (" in scorer.warnings_about(0)[0]
    assert "sea-toolkit bridge" in scorer.warnings[0]


def test_a_gradient_that_was_measured_to_be_poor_is_told(reader):
    good, bad = (Fidelity(Correlations(x, x, x), None, 0.5) for x in (0.26, 0.24))
    bridge = made(reader)
    for fidelity, count in ((good, 1), (bad, 2)):
        measured = replace(bridge.measured, fidelity=[fidelity])
        scorer = BridgedScorer(reader, replace(bridge, measured=measured), context_of(tiny_policy()))
        assert len(scorer.warnings_about(0)) == count
    assert "agrees poorly" in scorer.warnings[-1]


def test_the_mixture_is_a_regression_without_negative_weights():
    generator = torch.Generator().manual_seed(0)
    gradient, words = torch.randn(2, 200, generator=generator)
    for wanted in ([2.0, 3.0], [0.5, 0.0], [0.0, 4.0]):
        found = mixture_weights(gradient, words, wanted[0] * gradient + wanted[1] * words + 5.0)
        torch.testing.assert_close(found, torch.tensor(wanted), rtol=1e-3, atol=1e-3)
    found = mixture_weights(gradient, words, 2.0 * gradient - words)
    assert found[1] == 0
    assert found[0] > 0
    assert mixture_weights(gradient, words, -gradient - words).tolist() == [1.0, 0.0]
    assert mixture_weights(gradient * 0, words * 0, words).tolist() == [1.0, 0.0]


def test_fidelity_is_told_for_all_tokens_and_for_those_of_several_pieces():
    generator = torch.Generator().manual_seed(0)
    effect, noise = torch.randn(2, 100, generator=generator)
    found = fidelity_of(effect + noise, effect, effect, 60, 0.4)
    assert found.all.words == pytest.approx(1.0)
    assert found.all.mixture > 0.99 > found.all.gradient > 0.5
    assert found.several is not None
    assert fidelity_of(effect, noise, effect, 95, 0.4).several is None


def test_rank_correlation_is_spearmans():
    a = torch.tensor([1.0, 2.0, 2.0, 9.0])
    assert rank_correlation(a, a * a) == pytest.approx(1.0)
    assert rank_correlation(a, -a) == pytest.approx(-1.0)
    assert rank_correlation(a, torch.tensor([1.0, 3.0, 2.0, 4.0])) == pytest.approx(0.9486833)
    assert rank_correlation(a, torch.ones(4)) == 0.0


@pytest.fixture(scope="module")
def ids_only(reader):
    """The same classifier, as if it took no embeddings."""
    plain = ClassifierReader(reader.model, reader.shown)
    plain.ids_only = "it takes token ids alone"
    return plain


def test_a_classifier_without_embeddings_gets_the_scores_of_words_once_they_are_measured(ids_only, reader, tmp_path):
    policy, context = tiny_policy(), context_of(tiny_policy())
    os.environ["SEA_CACHE"] = str(tmp_path)  # put back by the fixture of the module
    assert isinstance(scorer_for(ids_only, context), TextScorer)
    bridge = measured_bridge(ids_only, policy, plain_bridge(ids_only, policy), context.finder)
    assert bridge.table is None
    assert bridge.measured.prior.gradient_weight.tolist() == [0.0]
    scorer = scorer_for(ids_only, context_of(policy))
    response, _ = texts_of(policy)
    with torch.no_grad():
        values = scorer(response)
    torch.testing.assert_close(values, BridgedScorer(reader, made(reader), context)(response))
    torch.testing.assert_close(scorer(response.with_gradient_taps()).detach(), values)
    inside = response.content > 0.5
    words = torch.where(inside[..., None], bridge.measured.prior.scores[:, 0], torch.tensor(0.0))
    expected = bridge.measured.prior.word_weight * words / inside.sum(-1)[..., None, None]
    torch.testing.assert_close(slope_of(scorer, response), expected, rtol=1e-3, atol=1e-4)
    assert "single words" in scorer.warnings_about(0)[0]


def test_a_policy_that_would_say_nothing_gives_texts_to_measure_on(monkeypatch):
    policy = copy.copy(tiny_policy())
    eager = torch.zeros(policy.vocab_size).index_fill(0, torch.tensor(policy.eos_ids), 100.0)
    monkeypatch.setattr(policy, "logits", lambda hidden: tiny_policy().logits(hidden) + eager, raising=False)
    samples = sample(policy)
    assert [len(row) for row in samples.rows] == [1] * len(PROMPTS)
    assert not {token for row in samples.rows for token in row} & set(policy.eos_ids)
