"""A compass: which of the policy's words an energy likes, known before the run has met a text."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from sea_toolkit.lm.fingerprint import digest_of

MOST_TEXTS = 16.0
"""A compass counts as so many texts of the run at most: what the run itself meets takes over."""


@dataclass(frozen=True, eq=False)
class Compass:
    """The gradient of an energy with respect to a token's probability, as it was in the texts of other prompts.

    A text's gradient is the mean over its positions. It is of the unweighted energy: where it is negative, the token
    lowers the energy.

    Attributes:
        mean: of each of the policy's tokens over those texts.
        variance: between them; what the mean's standard error is made of.
        count: how many texts it stands for.
    """

    mean: Float[Tensor, " V"]
    variance: Float[Tensor, " V"]
    count: float

    @classmethod
    def of_sums(cls, total: Float[Tensor, " V"], square: Float[Tensor, " V"], count: float) -> Compass:
        """From the sum of the gradients of texts, and that of their squares."""
        mean = total / count
        return cls(mean, (square / count - mean.square()).clamp(min=0), count)

    def sums(self, most: float = MOST_TEXTS) -> tuple[Tensor, Tensor, float]:
        """The sum of the gradients of as many texts as it counts for, the sum of their squares, and their number.

        Args:
            most: texts that it may count for.
        """
        count = min(self.count, most)
        return count * self.mean, count * (self.variance + self.mean.square()), count

    def scaled(self, factor: float) -> Compass:
        """The compass of an energy that is so many times as steep."""
        return Compass(factor * self.mean, factor**2 * self.variance, self.count)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all of it."""
        return digest_of({"count": self.count}, {"mean": self.mean.cpu(), "variance": self.variance.cpu()})
