"""Sums of the gradients of texts: what a compass is made of."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.gradient_taps import TokenGradient
from sea_toolkit.lm.policy import Policy
from sea_toolkit.samplers.shared.tilt import STEEPEST

RANK = 8
"""Directions in which the variance of gradients through a table is kept; of a probe's, four hold 99 % of it."""


class GradientSums:
    """Sums over texts, in double precision, on the CPU.

    Gradients that come through the policy's embedding are summed `[D]`, with their products `[D, D]`; others over the
    vocabulary, with their squares.

    Args:
        policy: whose tokens they are.

    Attributes:
        count: texts so far.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy, self.count = policy, 0
        self._sums: dict[str, Tensor] = {}
        self._names: Tensor | None = None

    def add(self, gradient: TokenGradient, length: Float[Tensor, "P C"]) -> None:
        """Add texts of these lengths, each with the mean over its positions."""
        mean = gradient.mean(length)
        whole = mean.over_vocabulary(0, self.policy.vocab_size).clamp(-STEEPEST, STEEPEST).flatten(0, 1)
        if len(mean.tables) == 1 and mean.tables[0][0] is self.policy.table and not mean.own:
            ids = [ids for ids, _ in mean.tokens]
            self._names = torch.cat(ids).unique() if ids else torch.zeros(0, dtype=torch.long, device=whole.device)
            rows, named = mean.tables[0][1].flatten(0, 2).cpu().double(), whole[:, self._names].cpu().double()
            sums = {"total": rows.sum(0), "products": rows.T @ rows}
            sums |= {"named": named.sum(0), "named_square": named.square().sum(0)}
        else:
            sums = {"total": whole.sum(0).cpu().double(), "square": whole.square().sum(0).cpu().double()}
        self._sums = {name: self._sums.get(name, 0.0) + value for name, value in sums.items()}
        self.count += len(whole)

    def tensors(self) -> dict[str, Tensor]:
        """Mean and variance as a file of a compass holds them."""
        sums, count = self._sums, self.count
        mean = sums["total"] / count
        if self._names is None:
            return {"mean": mean.bfloat16(), "variance": _variance(sums["square"], mean, count).bfloat16()}
        strength, direction = torch.linalg.eigh(sums["products"] / count - mean[:, None] * mean)
        factor = direction[:, -RANK:] * strength[-RANK:].clamp(min=0).sqrt()
        named = sums["named"] / count
        return {
            "mean": mean.float(),
            "factor": factor.T.float().contiguous(),
            "tokens": self._names.cpu(),
            "token_mean": named.float(),
            "token_variance": _variance(sums["named_square"], named, count).float(),
        }


def _variance(square: Tensor, mean: Tensor, count: int) -> Tensor:
    return (square / count - mean.square()).clamp(min=0)
