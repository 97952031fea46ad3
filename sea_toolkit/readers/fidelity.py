"""How well two predictions of what a token does to a reward agree with what was measured, and their best mixture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

_FEW = 10
"""Tokens; the correlation over fewer says nothing."""


@dataclass(frozen=True)
class Correlations:
    """Rank correlations with the measured effects: of the gradient, of the scores of words, and of their mixture."""

    gradient: float
    words: float
    mixture: float


@dataclass(frozen=True)
class Fidelity:
    """How well one output of a classifier is predicted.

    Attributes:
        all: over all tokens that were measured.
        several: over those of several pieces; None if there are few.
        ceiling: of the gradient over the classifier's own pieces.
    """

    all: Correlations
    several: Correlations | None
    ceiling: float


def mixture_weights(gradient: Float[Tensor, " n"], words: Float[Tensor, " n"], effect: Float[Tensor, " n"]) -> Tensor:
    """What the two are multiplied by to predict the effect: least squares, neither below 0. `[2]`.

    Where neither predicts anything, or nothing was measured, the gradient counts as it is.
    """
    if len(effect) == 0:
        return gradient.new_tensor([1.0, 0.0])
    columns = torch.stack([gradient, words], -1).double()
    columns, wanted = columns - columns.mean(0), (effect - effect.mean()).double()
    size = columns.norm(dim=0).clamp(min=torch.finfo(torch.double).tiny)
    options = []
    for used in ([0, 1], [0], [1]):
        found = torch.zeros(2, dtype=torch.double, device=columns.device)
        found[used] = (torch.linalg.pinv((columns / size)[:, used]) @ wanted) / size[used]
        if bool((found >= 0).all()):
            options.append(found)
    if not options or not bool(options[0].any()):
        return gradient.new_tensor([1.0, 0.0])
    best = min(options, key=lambda found: float((columns @ found - wanted).square().sum()))
    return best.to(gradient)


def fidelity_of(
    gradient: Float[Tensor, " n"],
    words: Float[Tensor, " n"],
    effect: Float[Tensor, " n"],
    single: int,
    ceiling: float,
) -> Fidelity:
    """The correlations of one output; each half of the tokens is mixed by the weights of the other.

    Args:
        gradient: predicted by the gradient.
        words: predicted by the scores of words.
        effect: measured.
        single: how many of the tokens, the first ones, are a single piece.
        ceiling: for the record.
    """
    mixture = torch.zeros_like(effect)
    even = torch.arange(len(effect), device=effect.device) % 2 == 0
    for half in (even, ~even):
        weights = mixture_weights(gradient[~half], words[~half], effect[~half])
        mixture[half] = weights[0] * gradient[half] + weights[1] * words[half]
    predicted = (gradient, words, mixture)
    every = Correlations(*(rank_correlation(row, effect) for row in predicted))
    if len(effect) - single < _FEW:
        return Fidelity(every, None, ceiling)
    several = Correlations(*(rank_correlation(row[single:], effect[single:]) for row in predicted))
    return Fidelity(every, several, ceiling)


def rank_correlation(a: Float[Tensor, " n"], b: Float[Tensor, " n"]) -> float:
    """Spearman's, with the mean rank for ties; 0 where one of them is constant."""
    ranks = [_mean_ranks(values.double()) for values in (a, b)]
    first, second = (rank - rank.mean() for rank in ranks)
    size = float(first.norm() * second.norm())
    return float(first @ second) / size if size else 0.0


def _mean_ranks(values: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    _, which, counts = values.unique(return_inverse=True, return_counts=True)
    ends = counts.cumsum(0).double()
    return (ends - (counts.double() - 1) / 2)[which]
