"""The energy `ensemble`: several reward models, and what they disagree about counts against an answer."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from sea_toolkit.core.clock import Clock
from sea_toolkit.energies.several_rewards import Member, SeveralRewards
from sea_toolkit.registry.options import Number

FLAT = 1e-12
"""Smallest variance with a slope: the square root has none at 0, where all models agree."""


class Ensemble(SeveralRewards):
    """−(mean − k · standard deviation) of the rewards of several models: high where all agree that an answer is good.

    What one model overrates, the others often do not: the spread is large there, and the answer gains less (Coste et
    al. 2024, arXiv 2310.02743, whose penalty is the variance). The models should have one unit, as those of one
    training with several seeds have. The spread is the root of the mean squared difference from the mean.

    Args:
        models: reward models as for the energy `reward`, each a name or a table with its `model`, `reads`, `output`,
            `activation`, `device`, `dtype` and `batch`.
        k: how many standard deviations are taken off; 0 is the mean.
    """

    label = "ensemble"

    def __init__(
        self,
        *,
        models: Annotated[list[str | Member], Field(min_length=2)],
        k: Annotated[Number, Field(ge=0)] = 1.0,
    ) -> None:
        super().__init__([{"model": m} if isinstance(m, str) else m for m in models])
        self.k = k

    def reward(self, rewards: Float[Tensor, "M *shape"], clock: Clock) -> Float[Tensor, "*shape"]:
        """Mean − k · standard deviation."""
        spread = rewards.var(0, correction=0).clamp(min=FLAT).sqrt()
        return rewards.mean(0) - clock.value(self.k) * spread
