"""How well scores tell held-out texts apart, and what does so without reading them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sea_toolkit.training.examples import Examples


def auc(good: Tensor, bad: Tensor) -> float:
    """Probability that a random entry of `good` exceeds one of `bad`; ties count half."""
    ordered = bad.sort().values
    below = torch.searchsorted(ordered, good.contiguous(), right=False)
    up_to = torch.searchsorted(ordered, good.contiguous(), right=True)
    return float(0.5 * (below + up_to).double().mean() / len(bad)) if len(good) and len(bad) else float("nan")


def rank_correlation(first: Float[Tensor, " n"], second: Float[Tensor, " n"]) -> float:
    """Spearman's, with the mean rank for ties; 0 where one of the two is constant."""
    ranks = [_ranks(values.double()) for values in (first, second)]
    centered = [values - values.mean() for values in ranks]
    scale = centered[0].norm() * centered[1].norm()
    return float(centered[0] @ centered[1] / scale) if scale > 0 else 0.0


def baseline(examples: Examples, train: Int[Tensor, " n"], test: Int[Tensor, " m"]) -> tuple[str, float]:
    """What a reward has to beat: its name, and the share of test rows that it gets right.

    Of labelled texts, the class that is more frequent in the training rows; of pairs, the longer text, or the shorter
    one if that is preferred more often in the training rows.

    Args:
        examples: all of them.
        train: indices of the training rows.
        test: indices of the test rows.
    """
    if not examples.pairs:
        labels = torch.tensor(examples.labels)
        common = int(labels[train].double().mean() >= 0.5)
        name = f"always the more frequent class ({'positive' if common else 'negative'})"
        return name, float((labels[test] == common).double().mean())
    longer = _lengths(examples.texts) - _lengths(examples.others)
    sign = 1 if float(longer[train].sign().sum()) >= 0 else -1
    right = (sign * longer[test] > 0).double() + 0.5 * (longer[test] == 0).double()
    return f"always the {'longer' if sign > 0 else 'shorter'} text", float(right.mean())


def _lengths(texts: Sequence[str]) -> Tensor:
    return torch.tensor([len(text) for text in texts])


def _ranks(values: Tensor) -> Tensor:
    ordered = values.sort().values
    below = torch.searchsorted(ordered, values, right=False)
    up_to = torch.searchsorted(ordered, values, right=True)
    return (below + up_to).double() / 2
