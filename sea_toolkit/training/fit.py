"""Heads of probes: layer and regularisation from validation data, accuracy from test data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sea_toolkit.errors import RecipeError
from sea_toolkit.readers.probe_head import ProbeHead, fold
from sea_toolkit.training.examples import Examples
from sea_toolkit.training.hidden import fit_hidden
from sea_toolkit.training.measures import auc, rank_correlation
from sea_toolkit.training.part import Part, mean_loss

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Candidates for λ in `mean log loss + λ/2 · |w|²`, on standardized features."""


@dataclass(frozen=True)
class Fit:
    """A fitted head and how it does on rows that took no part in its fit.

    Attributes:
        layer: whose outputs it reads.
        strength: λ.
        epochs: of training, for a head with a hidden layer; 0 for a linear one, which is solved.
        head: on raw features.
        validation_accuracy, test_accuracy: the mean over both classes, or for pairs the share in the right order.
        validation_auc, test_auc: area under the ROC curve.
        test_correlation: rank correlation with the ratings of the test rows, or with their labels; None for pairs.
    """

    layer: int
    strength: float
    epochs: int
    head: ProbeHead
    validation_accuracy: float
    validation_auc: float
    test_accuracy: float
    test_auc: float
    test_correlation: float | None


@dataclass(frozen=True)
class Split:
    """Indices of the examples in each part."""

    train: Tensor
    validation: Tensor
    test: Tensor


def split_by_group(groups: Sequence[str], test_fraction: float, validation_fraction: float, seed: int) -> Split:
    """Random parts that keep every group together.

    Raises:
        RecipeError: a part would be empty.
    """
    names = sorted(set(groups))
    generator = torch.Generator().manual_seed(seed)
    place = dict(zip(names, (torch.randperm(len(names), generator=generator) / len(names)).tolist(), strict=True))
    where = torch.tensor([place[g] for g in groups])
    test = where < test_fraction
    validation = ~test & (where < test_fraction + validation_fraction)
    parts = [p.nonzero().flatten() for p in (~test & ~validation, validation, test)]
    if not all(len(p) for p in parts):
        sizes = ", ".join(str(len(p)) for p in parts)
        raise RecipeError(
            f"{len(names)} groups cannot be split: train, validation and test would have {sizes} rows",
            hint="more rows, another --group-column, or another --test-fraction",
        )
    return Split(*parts)


def fit_layers(
    features: Mapping[int, tuple[Float[Tensor, "N D"], Float[Tensor, "N D"] | None]],
    examples: Examples,
    split: Split,
    *,
    hidden: int = 0,
    seed: int = 0,
) -> list[Fit]:
    """Fit a head for every layer; its strength is the one with the least validation loss.

    A linear head is fitted once more on train and validation together, for the test. One with a hidden layer stops by
    the validation data, and is tested as it stands.

    Args:
        features: layer to (features of the texts, features of the others if these are pairs).
        examples: what the features are of.
        split: which rows train, choose and test.
        hidden: width of the hidden layer; 0 for a linear head.
        seed: of the first weights of a hidden layer.

    Raises:
        RecipeError: training, validation or test lacks a class.
    """
    labels = None if examples.pairs else torch.tensor(examples.labels, dtype=torch.float64)
    if labels is not None and any(len(labels[p].unique()) < 2 for p in (split.train, split.validation, split.test)):
        raise RecipeError(
            "a part of the split has texts of one class only",
            hint="more rows, another --seed or --group-column",
        )
    ratings = None if labels is None else torch.tensor(examples.ratings, dtype=torch.float64)[split.test]

    def fit(layer: int, first: Tensor, second: Tensor | None) -> Fit:
        def part(rows: Tensor) -> Part:
            b = None if second is None else second[rows].double()
            return Part.of(first[rows].double(), b, None if labels is None else labels[rows])

        train, validation, test = part(split.train), part(split.validation), part(split.test)
        if hidden:
            tried = {strength: fit_hidden(train, validation, hidden, strength, seed) for strength in STRENGTHS}
            strength = min(STRENGTHS, key=lambda strength: tried[strength].loss)
            final = chosen = tried[strength].head
            epochs = tried[strength].epochs
        else:
            heads = {strength: _solve(train, strength) for strength in STRENGTHS}
            losses = {
                strength: float(mean_loss(_score(head, validation), validation)) for strength, head in heads.items()
            }
            strength = min(STRENGTHS, key=losses.__getitem__)
            chosen, epochs = heads[strength], 0
            final = _solve(part(torch.cat([split.train, split.validation])), strength)
        correlation = None if ratings is None else rank_correlation(_score(final, test), ratings)
        numbers = (*_accuracy(chosen, validation), *_accuracy(final, test), correlation)
        return Fit(layer, strength, epochs, final, *numbers)

    return [fit(layer, first, second) for layer, (first, second) in features.items()]


def right(
    fit: Fit, first: Float[Tensor, "N D"], second: Float[Tensor, "N D"] | None, labels: Sequence[int]
) -> Bool[Tensor, " N"]:
    """Which texts (or pairs) a fitted head gets right."""
    score = _score(fit.head, Part(first, second, None, None))
    return score > 0 if second is not None else (score > 0) == (torch.tensor(labels) > 0)


def choose(fits: Sequence[Fit], tolerance: float) -> Fit:
    """The earliest layer whose validation accuracy is within `tolerance` of the best: earlier layers cost less."""
    best = max(fit.validation_accuracy for fit in fits)
    return min((f for f in fits if f.validation_accuracy >= best - tolerance), key=lambda fit: fit.layer)


def _solve(part: Part, strength: float) -> ProbeHead:
    """A linear head, folded. Pairs have no bias to learn: their mean reward is set to zero."""
    mean, std = part.everything.mean(0), part.everything.std(0).clamp(min=1e-6)
    x = (part.a - mean if part.b is None else part.a - part.b) / std
    # one parameter vector [weight, bias]; L-BFGS with line search converges on this convex problem
    theta = torch.zeros(x.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([theta], max_iter=300, tolerance_grad=1e-7, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        with torch.enable_grad():
            score = x @ theta[:-1] + (theta[-1] if part.b is None else 0.0)
            total = mean_loss(score, part) + 0.5 * strength * theta[:-1].square().sum()
            total.backward()
        return total

    optimizer.step(closure)
    solution = theta.detach()
    return ProbeHead(*fold(solution[:-1], solution[-1], mean, std))


def _score(head: ProbeHead, part: Part) -> Float[Tensor, " n"]:
    """As `Part.score`, in float64."""
    b = None if part.b is None else part.b.double()
    return Part(part.a.double(), b, None, None).score(head.to(torch.float64))


def _accuracy(head: ProbeHead, part: Part) -> tuple[float, float]:
    """Accuracy (balanced, or of pairs) and area under the ROC curve."""
    score = _score(head, part)
    if part.labels is not None:
        good, bad = score[part.labels > 0], score[part.labels == 0]
        return float(0.5 * ((good > 0).double().mean() + (bad <= 0).double().mean())), auc(good, bad)
    in_order = (score > 0).double().mean() + 0.5 * (score == 0).double().mean()
    first, second = part.everything.tensor_split(2)
    return float(in_order), auc(*(_score(head, Part(side, None, None, None)) for side in (first, second)))
