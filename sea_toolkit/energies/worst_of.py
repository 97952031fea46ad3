"""The energy `worst-of`: the reward that is worst, so that no objective is bought with another."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from sea_toolkit.core.clock import Clock
from sea_toolkit.energies.several_rewards import Member, SeveralRewards
from sea_toolkit.errors import RecipeError
from sea_toolkit.registry.options import Number


class Objective(Member, total=False):
    """A reward model with what makes it comparable: its reward counts as (reward − offset) / scale."""

    offset: float
    scale: float


class WorstOf(SeveralRewards):
    """−softmin of the scaled rewards zᵢ = (rᵢ − offset) / scale of several models: an answer is as good as its worst.

    softmin(z) = −τ log mean exp(−z / τ) with τ the temperature: the minimum at 0, the mean as it grows, and never more
    than τ log M above the minimum. Its gradient is that of the members, weighted with softmax(−z / τ): the worst comes
    first. The minimum over objectives is the egalitarian choice of maximin alignment (Chakraborty et al. 2024, arXiv
    2402.08925), taken here for each answer.

    Args:
        models: reward models, each a name or a table as for `ensemble`, with `offset` (0) and `scale` (1) beside: a
            reward that is to be low has a scale below 0.
        temperature: τ, in units of the scaled rewards.
    """

    label = "worst-of"

    def __init__(
        self,
        *,
        models: Annotated[list[str | Objective], Field(min_length=2)],
        temperature: Annotated[Number, Field(ge=0)] = 0.25,
    ) -> None:
        tables = [Objective(model=m) if isinstance(m, str) else m for m in models]
        super().__init__([{k: v for k, v in t.items() if k not in ("offset", "scale")} for t in tables])
        self.temperature = temperature
        self.offsets = [table.get("offset", 0.0) for table in tables]
        self.scales = [table.get("scale", 1.0) for table in tables]
        if not all(self.scales):
            raise RecipeError("worst-of has a model with scale 0", expected="a number that its reward is divided by")

    def reward(self, rewards: Float[Tensor, "M *shape"], clock: Clock) -> Float[Tensor, "*shape"]:
        """The soft minimum of the scaled rewards."""
        shape = (-1, *[1] * (rewards.ndim - 1))
        offsets, scales = rewards.new_tensor(self.offsets).view(shape), rewards.new_tensor(self.scales).view(shape)
        scaled, temperature = (rewards - offsets) / scales, clock.value(self.temperature)
        if temperature == 0:
            return scaled.amin(0)
        return -temperature * (torch.logsumexp(-scaled / temperature, 0) - math.log(len(scaled)))
