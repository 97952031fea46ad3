"""Rows of training, validation or test data: features of labelled texts, or of both sides of pairs, and their loss."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.readers.probe_head import ProbeHead


class Part(NamedTuple):
    """Features of texts with their labels, or of both sides of pairs.

    Attributes:
        a: of the texts, or of the better ones.
        b: of the worse ones, or None.
        labels: 1 or 0, None for pairs.
        weight: of each text in the loss, so that both classes have half of it; None for pairs.
    """

    a: Float[Tensor, "n D"]
    b: Float[Tensor, "n D"] | None
    labels: Tensor | None
    weight: Tensor | None

    @classmethod
    def of(cls, a: Tensor, b: Tensor | None, labels: Tensor | None) -> Part:
        """With the weights that make both classes equal."""
        if labels is None:
            return cls(a, b, None, None)
        good = labels > 0
        each = torch.where(good, 0.5 / good.double().mean(), 0.5 / (~good).double().mean())
        return cls(a, b, labels, each.to(a.dtype))

    @property
    def everything(self) -> Float[Tensor, "m D"]:
        """All features."""
        return self.a if self.b is None else torch.cat([self.a, self.b])

    def rows(self, chosen: Tensor) -> Part:
        """Some of the rows, with the weights that they have among all."""
        return Part(*(None if tensor is None else tensor[chosen] for tensor in self))  # type: ignore[arg-type]

    def scaled(self, mean: Tensor, std: Tensor) -> Part:
        """Standardized, in float32."""
        a, b = (None if side is None else ((side - mean) / std).float() for side in (self.a, self.b))
        return Part(a, b, self.labels, None if self.weight is None else self.weight.float())  # type: ignore[arg-type]

    def score(self, head: ProbeHead) -> Float[Tensor, " n"]:
        """Of texts the rewards, of pairs by how much the better one is ahead."""
        first = head.of_means(self.a)
        return first if self.b is None else first - head.of_means(self.b)


def mean_loss(score: Float[Tensor, " n"], part: Part) -> Float[Tensor, ""]:
    """Logistic loss in nats; of labelled texts, each class has half of the weight."""
    if part.labels is None or part.weight is None:
        return torch.nn.functional.softplus(-score).mean()
    losses = torch.nn.functional.softplus(torch.where(part.labels > 0, -score, score))
    return (losses * part.weight).mean()
