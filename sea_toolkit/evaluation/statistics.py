"""Bootstrap over prompts: intervals of means, and of differences between methods on the same prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sea_toolkit.reporting.tables import FEWEST

RESAMPLES = 10_000
SEED = 20250520


@dataclass(frozen=True)
class Interval:
    """A mean over prompts with its 95 % percentile interval; `n` prompts had a value."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def verdict(self) -> str:
        """What a difference with this interval shows: "higher", "lower" or "no difference shown"."""
        if self.n < FEWEST:
            return "no difference shown"
        if self.low > 0:
            return "higher"
        return "lower" if self.high < 0 else "no difference shown"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers; null where no prompt had a value."""
        numbers = {"mean": self.mean, "low": self.low, "high": self.high}
        return {**{k: None if np.isnan(v) else v for k, v in numbers.items()}, "n": self.n}


class Bootstrap:
    """Resamples of n prompts, drawn once and used for every question, so that all comparisons are paired.

    A resample is kept as how often each prompt is in it: a mean over a resample is a row of a matrix product.

    Args:
        prompts: n.
        resamples: how many.
        seed: of the resamples; the same numbers give the same intervals.
    """

    def __init__(self, prompts: int, resamples: int = RESAMPLES, seed: int = SEED) -> None:
        rng = np.random.default_rng(seed)
        self.counts = rng.multinomial(prompts, np.full(prompts, 1.0 / prompts), size=resamples).astype(np.float64)

    def means(self, columns: NDArray[np.float64]) -> list[Interval]:
        """Interval of the mean of each column.

        Args:
            columns: `[n, M]`, one value per prompt; nan where there is none, which leaves the prompt out of that
                column.
        """
        mask = ~np.isnan(columns)
        known = np.where(mask, columns, 0.0)
        n = mask.sum(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            resampled = (self.counts @ known) / (self.counts @ mask)
            means = known.sum(0) / n
        intervals = []
        for j, mean in enumerate(means):
            draws = resampled[:, j][~np.isnan(resampled[:, j])]
            low, high = np.quantile(draws, [0.025, 0.975]) if len(draws) else (np.nan, np.nan)
            intervals.append(Interval(float(mean), float(low), float(high), int(n[j])))
        return intervals

    def differences(self, columns: NDArray[np.float64], pairs: Sequence[tuple[int, int]]) -> list[Interval]:
        """Interval of the mean of column a − column b for each pair (a, b), over the prompts that have both."""
        if not pairs:
            return []
        first, second = (list(side) for side in zip(*pairs, strict=True))
        return self.means(columns[:, first] - columns[:, second])


def distinct(texts: Sequence[str], n: int = 2) -> float:
    """Distinct-n (Li et al. 2016, arXiv 1510.03055): different n-grams of words by all n-grams, over all texts
    together; nan if there is none."""
    grams = [gram for text in texts for gram in _grams(text, n)]
    return len(set(grams)) / len(grams) if grams else float("nan")


def _grams(text: str, n: int) -> list[tuple[str, ...]]:
    words = text.lower().split()
    return list(zip(*(words[i:] for i in range(n)), strict=False))
