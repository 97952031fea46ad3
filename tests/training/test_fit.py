"""Features, splits and fits on synthetic data with known answers."""

from __future__ import annotations

import pytest
import torch

from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.lm.truncate import truncate
from sea_toolkit.testing.tiny import ARCHITECTURES, tiny_model, tiny_tokenizer
from sea_toolkit.training.examples import Examples
from sea_toolkit.training.features import pooled_features
from sea_toolkit.training.fit import choose, fit_layers, split_by_group
from sea_toolkit.training.hidden import LONGEST, fit_hidden
from sea_toolkit.training.measures import auc, baseline, rank_correlation
from sea_toolkit.training.part import Part, mean_loss
from sea_toolkit.training.train import Settings, train


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def labelled(n, positive_every=2):
    labels = [int(i % positive_every == 0) for i in range(n)]
    texts, groups = [f"t{i}" for i in range(n)], [f"g{i}" for i in range(n)]
    return Examples(texts, [], labels, groups, ["file"] * n, [float(label) for label in labels])


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_features_are_those_of_each_text_alone(arch):
    model, tokenizer = tiny_model(arch), tiny_tokenizer()
    texts = ["the rain in Spain", "and", "", "this is what the others were reading on that day"]
    found = pooled_features(model, tokenizer, texts, [1, 3], max_tokens=12, batch_tokens=40)
    for layer in (1, 3):
        truncated = truncate(model, layer)
        for i, text in enumerate(texts):
            ids = tokenizer(text, add_special_tokens=False).input_ids[:12]
            with torch.no_grad():
                alone = truncated(torch.tensor([ids]), use_cache=False)[0][0].mean(0) if ids else torch.zeros(32)
            torch.testing.assert_close(found[layer][i], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [{"arch": "gpt2", "n_positions": 24}, {"max_position_embeddings": 24}])
def test_features_are_of_the_tokens_that_the_model_can_read(kind):
    model, text = tiny_model(**kind), "what the others were reading on that day and the next"
    long, short = (pooled_features(model, tiny_tokenizer(), [text], [1], max_tokens=n)[1] for n in (64, 24))
    assert len(tiny_tokenizer()(text).input_ids) > 24
    torch.testing.assert_close(long, short)


def test_layer_search_finds_the_informative_layer():
    examples = labelled(600)
    y = torch.tensor(examples.labels).float()
    signal = normal(600, 16, seed=1)
    signal[:, 3] += 4 * (y - 0.5)
    features = {2: (normal(600, 16, seed=2), None), 5: (signal, None), 9: (normal(600, 16, seed=3), None)}
    fits = fit_layers(features, examples, split_by_group(examples.groups, 0.2, 0.2, 0))
    best = choose(fits, 0.01)
    assert best.layer == 5
    assert best.test_accuracy > 0.93
    assert best.test_auc > 0.97
    assert all(fit.test_accuracy < 0.65 for fit in fits if fit.layer != 5)
    assert int(best.head.weight.abs().argmax()) == 3
    assert best.head.weight[3] > 0


def test_an_earlier_layer_within_the_tolerance_wins():
    examples = labelled(600)
    y = torch.tensor(examples.labels).float()

    def layer(strength, seed):
        return (torch.cat([strength * (y - 0.5)[:, None] + normal(600, 1, seed=seed), normal(600, 3, seed=9)], 1), None)

    fits = fit_layers(
        {1: layer(1, 1), 2: layer(8, 2), 3: layer(9, 3)}, examples, split_by_group(examples.groups, 0.2, 0.2, 0)
    )
    assert choose(fits, 0.01).layer == 2
    assert choose(fits, 0.9).layer == 1


def test_unequal_classes_weigh_the_same():
    examples = labelled(1000, positive_every=10)
    y = torch.tensor(examples.labels).float()
    features = normal(1000, 4)
    features[:, 0] += 2 * (y - 0.5)
    (fit,) = fit_layers({1: (features, None)}, examples, split_by_group(examples.groups, 0.3, 0.2, 1))
    # the best cut between two unit normals at -1 and 1 is at zero, with 84 % right on each side
    assert abs(float(fit.head.bias)) < 0.4
    assert 0.75 < fit.test_accuracy < 0.93


def test_pairs_learn_the_direction_that_is_preferred():
    n = 500
    first, second = normal(n, 8, seed=1), normal(n, 8, seed=2)
    better = first[:, 2] > second[:, 2]
    first, second = torch.where(better[:, None], first, second), torch.where(better[:, None], second, first)
    examples = Examples(["a"] * n, ["b"] * n, [], [str(i) for i in range(n)], ["f"] * n, [])
    (fit,) = fit_layers({1: (first + 3.0, second + 3.0)}, examples, split_by_group(examples.groups, 0.2, 0.2, 0))
    assert fit.test_accuracy > 0.93
    assert int(fit.head.weight.abs().argmax()) == 2
    assert fit.head.weight[2] > 0
    everything = torch.cat([first, second]) + 3.0
    assert abs(float((everything @ fit.head.weight + fit.head.bias).mean())) < 0.5


def labelled_part(features, labels, rows):
    return Part.of(features[rows].double(), None, torch.tensor(labels, dtype=torch.float64)[rows])


def test_a_hidden_layer_learns_what_no_line_can_tell():
    """Texts that are good where two features have the same sign."""
    n = 500
    labels, features = [i % 2 for i in range(n)], normal(n, 4, seed=1)
    features[:, 1] = features[:, 1].abs() * features[:, 0].sign() * (torch.tensor(labels) * 2 - 1)
    features = 3.0 * features + 5.0
    train, validation = (labelled_part(features, labels, rows) for rows in (slice(0, 350), slice(350, n)))
    fit = fit_hidden(train, validation, 16, 1e-3, 0)
    found = fit.head.of_means(features[350:]) > 0
    assert float((found == torch.tensor(labels[350:]).bool()).float().mean()) > 0.9
    assert 1 <= fit.epochs <= LONGEST
    loss = mean_loss(validation.score(fit.head.to(torch.float64)), validation)
    assert fit.loss == pytest.approx(float(loss), abs=1e-4), "the head that is returned is the one of the least loss"
    short = labelled_part(features, labels, slice(0, 70))
    heads = [fit_hidden(short, validation, 4, 1e-1, seed).head.fingerprint for seed in (0, 0, 1)]
    assert heads[0] == heads[1] != heads[2]


def test_a_hidden_layer_stops_before_it_learns_noise_by_heart():
    labels, features = [i % 2 for i in range(300)], normal(300, 20, seed=2)
    train, validation = (labelled_part(features, labels, rows) for rows in (slice(0, 200), slice(200, 300)))
    fit = fit_hidden(train, validation, 16, 1e-4, 0)
    assert fit.epochs < 10
    assert fit.loss > 0.6, "labels without any order: half a nat would be something learnt"


def test_pairs_with_a_hidden_layer_have_a_mean_of_zero():
    first, second = normal(300, 6, seed=1), normal(300, 6, seed=2)
    better = first[:, 2].abs() > second[:, 2].abs()
    first, second = torch.where(better[:, None], first, second), torch.where(better[:, None], second, first)
    train, validation = (Part.of(first[r].double(), second[r].double(), None) for r in (slice(0, 200), slice(200, 300)))
    fit = fit_hidden(train, validation, 16, 1e-2, 0)
    assert float((validation.score(fit.head.to(torch.float64)) > 0).double().mean()) > 0.8
    everything = torch.cat([first[:200], second[:200]])
    assert abs(float(fit.head.of_means(everything).mean())) < 1e-3


def test_a_reward_stands_beside_what_reads_nothing():
    examples = labelled(200, positive_every=4)
    split = split_by_group(examples.groups, 0.2, 0.2, 0)
    share = 1 - sum(examples.labels[i] for i in split.test.tolist()) / len(split.test)
    assert baseline(examples, split.train, split.test) == (
        "always the more frequent class (negative)", pytest.approx(share)
    )  # fmt: skip
    texts, others = ["long text"] * 8 + ["a"] * 2, ["short"] * 8 + ["bb"] * 2
    pairs = Examples(texts, others, [], list("abcdefghij"), ["f"] * 10, [])
    name, share = baseline(pairs, torch.arange(5), torch.arange(5, 10))
    assert (name, share) == ("always the longer text", pytest.approx(0.6))


def test_rank_correlation_against_counting():
    first, second = torch.tensor([3.0, 1.0, 2.0, 2.0]), torch.tensor([30.0, 0.0, 9.0, 1.0])
    ranks = torch.tensor([[4, 1, 2.5, 2.5], [4, 1, 3, 2]])
    assert rank_correlation(first, second) == pytest.approx(float(torch.corrcoef(ranks)[0, 1]))
    assert rank_correlation(first, torch.ones(4)) == 0.0


def test_groups_stay_together():
    groups = [f"g{i // 5}" for i in range(200)]
    split = split_by_group(groups, 0.25, 0.25, 3)
    parts = [{groups[i] for i in part.tolist()} for part in (split.train, split.validation, split.test)]
    assert sum(len(p) for p in parts) == 40
    assert sum(len(p) for p in (split.train, split.validation, split.test)) == 200
    assert 5 <= len(parts[2]) <= 15
    again = split_by_group(groups, 0.25, 0.25, 3)
    assert torch.equal(split.test, again.test)
    with pytest.raises(RecipeError, match="2 groups cannot be split"):
        split_by_group(["a", "b"] * 9, 0.2, 0.2, 0)


def test_a_part_with_one_class_is_an_error():
    examples = labelled(40, positive_every=39)
    with pytest.raises(RecipeError, match="texts of one class only"):
        fit_layers({1: (normal(40, 4), None)}, examples, split_by_group(examples.groups, 0.2, 0.2, 0))


def test_auc_against_counting():
    good, bad = torch.tensor([0.1, 0.5, 0.5, 0.9]), torch.tensor([0.5, 0.2, 0.0])
    count = sum((g > b) + 0.5 * (g == b) for g in good for b in bad) / 12
    assert auc(good, bad) == pytest.approx(float(count))


def test_a_layer_the_policy_lacks():
    with pytest.raises(ModelError, match="layer 9 was asked of tiny"):
        train(tiny_model("llama"), tiny_tokenizer(), "tiny", labelled(50), Settings(layers=(2, 9)))
