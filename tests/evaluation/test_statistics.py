"""The bootstrap against cases whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sea_toolkit.evaluation.statistics import Bootstrap, Interval, distinct


def test_the_same_numbers_twice() -> None:
    values = np.random.default_rng(0).normal(size=(30, 3))
    assert Bootstrap(30).means(values) == Bootstrap(30).means(values)
    assert Bootstrap(30, seed=1).means(values) != Bootstrap(30, seed=2).means(values)


def test_a_resample_is_a_draw_of_n_prompts_with_replacement() -> None:
    counts = Bootstrap(12).counts
    assert (counts.sum(1) == 12).all()
    assert counts.mean() == pytest.approx(1.0)
    assert counts.var() == pytest.approx(1 - 1 / 12, rel=0.03)  # binomial(12, 1/12)


def test_the_interval_of_a_mean_is_that_of_the_plain_loop() -> None:
    values = np.random.default_rng(3).gamma(2.0, size=25)
    found = Bootstrap(25).means(values[:, None])[0]
    rng = np.random.default_rng(9)
    loop = [values[rng.integers(0, 25, 25)].mean() for _ in range(20_000)]
    low, high = np.quantile(loop, [0.025, 0.975])
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(low, abs=0.03)
    assert found.high == pytest.approx(high, abs=0.03)


def test_the_true_mean_is_covered_as_often_as_said() -> None:
    rng = np.random.default_rng(1)
    truth = 0.3
    values = rng.normal(truth, 1.0, size=(40, 2000))  # 2000 experiments of 40 prompts
    bootstrap = Bootstrap(40, resamples=2000)
    covered = np.mean([i.low <= truth <= i.high for i in bootstrap.means(values)])
    # a percentile interval of 40 normal values is a little short: 93.6 % on average
    assert 0.92 < covered < 0.955


def test_a_paired_difference_sees_what_separate_intervals_hide() -> None:
    rng = np.random.default_rng(2)
    prompt = rng.normal(0.0, 5.0, size=40)
    columns = np.stack([prompt + 0.5 + rng.normal(0, 0.3, 40), prompt + rng.normal(0, 0.3, 40), prompt], 1)
    bootstrap = Bootstrap(40)
    a, b, _ = bootstrap.means(columns)
    assert a.low < b.high
    found = bootstrap.differences(columns, [(0, 1), (1, 0), (2, 2)])
    assert [i.verdict for i in found] == ["higher", "lower", "no difference shown"]
    assert found[0].mean == pytest.approx((columns[:, 0] - columns[:, 1]).mean())
    assert found[0].low == pytest.approx(-found[1].high)
    assert bootstrap.differences(columns, []) == []


def test_no_difference_is_rarely_called_one() -> None:
    values = np.random.default_rng(4).normal(size=(40, 600))
    pairs = [(2 * i, 2 * i + 1) for i in range(300)]
    found = [i.verdict for i in Bootstrap(40, resamples=2000).differences(values, pairs)]
    assert 0.01 < np.mean([v != "no difference shown" for v in found]) < 0.11


def test_prompts_without_a_value_are_left_out() -> None:
    values = np.array([[1.0, 2.0, np.nan], [3.0, np.nan, np.nan], [5.0, 4.0, np.nan]])
    one, two, three = Bootstrap(3).means(values)
    assert (one.n, two.n, three.n) == (3, 2, 0)
    assert two.mean == 3.0
    assert 2.0 <= two.low <= two.high <= 4.0
    assert math.isnan(three.mean)
    assert three.verdict == "no difference shown"
    assert three.to_dict() == {"mean": None, "low": None, "high": None, "n": 0}
    assert Bootstrap(3).differences(values, [(0, 1)])[0].n == 2


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.1, 0.2, "higher"), (-2, -0.1, "lower"), (-0.1, 0.1, "no difference shown"), (0.0, 1.0, "no difference shown")],
)
def test_words_come_from_the_interval_alone(low: float, high: float, verdict: str) -> None:
    assert Interval(5.0, low, high, 9).verdict == verdict


def test_of_few_prompts_no_difference_is_called_one() -> None:
    """Five coins fall on one side once in sixteen times."""
    values = np.array([[1.0, 0.0]] * 5 + [[2.0, 0.5]])
    assert Bootstrap(6).differences(values, [(0, 1)])[0].verdict == "higher"
    assert Bootstrap(5).differences(values[:5], [(0, 1)])[0].verdict == "no difference shown"


def test_distinct_n_counts_pairs_of_words() -> None:
    assert distinct(["a b c", "a b d"]) == 3 / 4
    assert distinct(["A b", "a B"]) == 1 / 2
    assert distinct(["a b c d"], n=1) == 1.0
    assert math.isnan(distinct(["one", ""]))
