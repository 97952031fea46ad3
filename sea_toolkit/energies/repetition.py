"""The energy `repetition`: answers that do not say the same again."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import Energy, ResponseFunction


class Repetition(Energy):
    """Expected number of pairs of equal n-grams of tokens: one that occurs k times counts k (k − 1) / 2.

    For a relaxed response, n-grams at s and t are equal with probability `Π_j Σ_v p_{s+j}(v) p_{t+j}(v)`, and count as
    far as the text reaches the end of the later one. With one-hot weights that is the number of pairs. For n-grams
    that overlap the product is not quite the probability, since they share positions.

    Args:
        n: length of the n-grams in tokens; 1 counts tokens that occur again, spaces and commas among them.
    """

    differentiable = True

    def __init__(self, *, n: Annotated[int, Field(ge=1)] = 3) -> None:
        self.n = n

    def bind(self, context: Context) -> ResponseFunction:
        """The energy itself: it is the same in every run."""
        return self.energy

    def energy(self, response: SoftResponse) -> Float[Tensor, "P C"]:
        size = response.shape[2] - self.n + 1
        content = response.content.float()
        if size < 2:
            return 0.0 * content.sum(-1)
        same = response.overlap().float()
        equal = same[..., :size, :size]
        for j in range(1, self.n):
            equal = equal * same[..., j : j + size, j : j + size]
        pairs = equal.triu(1)  # each pair once: s < t
        return (pairs * content[:, :, None, self.n - 1 :]).sum((-2, -1))
