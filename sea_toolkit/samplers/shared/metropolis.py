"""The Metropolis–Hastings test, for all samplers that accept or reject."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sea_toolkit.core.noise import Noise


@dataclass(frozen=True)
class Acceptance:
    """The outcome of one proposal per chain.

    Attributes:
        mask: `[P, C]`, the chains whose proposal is accepted.
        rate: `[P, C]`, the probability of acceptance, 0 in stopped chains; unlike `mask` it has no noise of its own.
    """

    mask: Bool[Tensor, "P C"]
    rate: Float[Tensor, "P C"]

    @property
    def metrics(self) -> dict[str, Tensor]:
        """For `Info`: `acceptance` and `accepted`, which the run counts and reports."""
        return {"acceptance": self.rate, "accepted": self.mask.float()}


def metropolis(
    noise: Noise, log_ratio: Float[Tensor, "P C"], proposed: Float[Tensor, "P C"], stopped: Bool[Tensor, "P C"]
) -> Acceptance:
    """Accept each chain's proposal with probability `min(1, exp(log_ratio))`.

    A chain at an energy of +inf (a ratio of +inf) accepts every proposal of finite energy. A proposal whose energy is
    not finite, or a ratio of NaN, is rejected.

    Args:
        noise: gives one uniform number per chain.
        log_ratio: `β · (E(y) − E(y')) + log q(y | y') − log q(y' | y)`.
        proposed: energy of the proposal, E(y').
        stopped: chains that stay, `problem.stopped`.
    """
    log_ratio = log_ratio.nan_to_num(-torch.inf, torch.inf, -torch.inf)
    uniform = noise.uniform(log_ratio.shape[1]).to(log_ratio.device)
    accepted = (uniform.log() < log_ratio) & proposed.isfinite() & ~stopped
    return Acceptance(accepted, torch.where(stopped, 0.0, log_ratio.clamp(max=0.0).exp()))
