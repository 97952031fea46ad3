"""L2-regularised logistic regression: layer and strength from validation data, accuracy from test data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.errors import RecipeError
from sea_toolkit.readers.probe import fold
from sea_toolkit.training.examples import Examples

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Candidates for λ in `mean log loss + λ/2 · |w|²`, on standardized features."""


_Head = tuple[Tensor, Tensor]
"""Weight and bias."""


class _Part(NamedTuple):
    """Features of texts with their labels, or of both sides of pairs."""

    a: Tensor
    b: Tensor | None
    labels: Tensor | None


@dataclass(frozen=True)
class Fit:
    """A fitted head and its accuracy: the mean over both classes, or for pairs the share in the right order."""

    layer: int
    strength: float
    weight: Float[Tensor, " D"]
    bias: Float[Tensor, ""]
    validation_accuracy: float
    validation_auc: float
    test_accuracy: float
    test_auc: float


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
) -> list[Fit]:
    """Fit a head for every layer; its strength is the one with the least validation loss.

    The head reported and returned is fitted once more on train and validation together, for the test.

    Args:
        features: layer to (features of the texts, features of the others if these are pairs).

    Raises:
        RecipeError: training, validation or test lacks a class.
    """
    labels = None if examples.pairs else torch.tensor(examples.labels, dtype=torch.float64)
    if labels is not None and any(len(labels[p].unique()) < 2 for p in (split.train, split.validation, split.test)):
        raise RecipeError(
            "a part of the split has texts of one class only",
            hint="more rows, another --seed or --group-column",
        )
    return [_fit_layer(layer, first, second, labels, split) for layer, (first, second) in features.items()]


def right(fit: Fit, first: Float[Tensor, "N D"], second: Float[Tensor, "N D"] | None, labels: Sequence[int]) -> Tensor:
    """Which texts (or pairs) a fitted head gets right; bool, `[N]`."""
    if second is not None:
        return _score((fit.weight, fit.bias), _Part(first.double(), second.double(), None)) > 0
    score = _score((fit.weight, fit.bias), _Part(first.double(), None, None))
    return (score > 0) == (torch.tensor(labels) > 0)


def choose(fits: Sequence[Fit], tolerance: float) -> Fit:
    """The earliest layer whose validation accuracy is within `tolerance` of the best: earlier layers cost less."""
    best = max(fit.validation_accuracy for fit in fits)
    return min((f for f in fits if f.validation_accuracy >= best - tolerance), key=lambda fit: fit.layer)


def _fit_layer(layer: int, first: Tensor, second: Tensor | None, labels: Tensor | None, split: Split) -> Fit:
    def part(rows: Tensor) -> _Part:
        b = None if second is None else second[rows].double()
        return _Part(first[rows].double(), b, None if labels is None else labels[rows])

    validation, test = part(split.validation), part(split.test)
    heads = {strength: _solve(part(split.train), strength) for strength in STRENGTHS}
    losses = {
        strength: float(_mean_loss(_score(head, validation), validation.labels)) for strength, head in heads.items()
    }
    strength = min(STRENGTHS, key=losses.__getitem__)
    final = _solve(part(torch.cat([split.train, split.validation])), strength)
    return Fit(layer, strength, *final, *_accuracy(heads[strength], validation), *_accuracy(final, test))


def _solve(part: _Part, strength: float) -> _Head:
    """Weight and bias, folded. Pairs have no bias to learn: their mean reward is set to zero."""
    everything = part.a if part.b is None else torch.cat([part.a, part.b])
    mean, std = everything.mean(0), everything.std(0).clamp(min=1e-6)
    x = (part.a - mean if part.b is None else part.a - part.b) / std
    # one parameter vector [weight, bias]; L-BFGS with line search converges on this convex problem
    theta = torch.zeros(x.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([theta], max_iter=300, tolerance_grad=1e-7, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        with torch.enable_grad():
            score = x @ theta[:-1] + (theta[-1] if part.b is None else 0.0)
            total = _mean_loss(score, part.labels) + 0.5 * strength * theta[:-1].square().sum()
            total.backward()
        return total

    optimizer.step(closure)
    solution = theta.detach()
    return fold(solution[:-1], solution[-1], mean, std)


def _mean_loss(score: Tensor, labels: Tensor | None) -> Tensor:
    """Logistic loss in nats; of labelled texts, each class has half of the weight."""
    if labels is None:
        return torch.nn.functional.softplus(-score).mean()
    losses = torch.nn.functional.softplus(torch.where(labels > 0, -score, score))
    return 0.5 * (losses[labels > 0].mean() + losses[labels == 0].mean())


def _score(head: _Head, part: _Part) -> Tensor:
    weight, bias = head[0].double(), head[1].double()
    return part.a @ weight + bias if part.b is None else (part.a - part.b) @ weight


def _accuracy(head: _Head, part: _Part) -> tuple[float, float]:
    """Accuracy (balanced, or of pairs) and area under the ROC curve."""
    score = _score(head, part)
    if part.labels is None:
        right = (score > 0).double().mean() + 0.5 * (score == 0).double().mean()
        weight = head[0].double()
        return float(right), auc(part.a @ weight, (part.a if part.b is None else part.b) @ weight)
    good, bad = score[part.labels > 0], score[part.labels == 0]
    return float(0.5 * ((good > 0).double().mean() + (bad <= 0).double().mean())), auc(good, bad)


def auc(good: Tensor, bad: Tensor) -> float:
    """Probability that a random entry of `good` exceeds one of `bad`; ties count half."""
    ordered = bad.sort().values
    below = torch.searchsorted(ordered, good.contiguous(), right=False)
    up_to = torch.searchsorted(ordered, good.contiguous(), right=True)
    return float(0.5 * (below + up_to).double().mean() / len(bad)) if len(good) and len(bad) else float("nan")
