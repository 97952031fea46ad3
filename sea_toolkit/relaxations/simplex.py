"""α-entmax: `argmax_p ⟨p, z⟩ + H_α(p)` over the simplex, whose solution is `p = [(α − 1) z − τ]_+^{1 / (α − 1)}`.

H_α is Tsallis' entropy; α = 1 would be softmax, 2 is sparsemax. What the relaxations `sparsemax` and `entmax` share.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

STEEPEST = 1e4
"""Largest derivative of a weight close to 0: for α > 2 it is infinite in the limit, and float32 has seven digits."""


def alpha_entmax(logits: Float[Tensor, "*B K"], alpha: float, temperature: float) -> Float[Tensor, "*B K"]:
    """α-entmax of `logits / temperature` over the last dimension, at least in float32; differentiable once.

    Exact by sorting for α = 2 and α = 1.5, by bisection of τ to the last bit for others.

    Args:
        logits: -inf marks padding; every row needs one finite logit.
        alpha: at least 1.01.
        temperature: above 0.

    Source: Martins and Astudillo, 2016, arXiv 1602.02068; Peters, Niculae and Martins, 2019, arXiv 1905.05702.
    """
    # a constant leaves the weights as they are, so that the maximum needs no gradient
    shifted = logits.to(torch.promote_types(logits.dtype, torch.float32))
    shifted = shifted - shifted.detach().amax(-1, keepdim=True)
    weights: Tensor = _Entmax.apply(shifted / temperature, alpha)
    return weights


class _Entmax(torch.autograd.Function):
    """Rows whose largest entry is 0."""

    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor, alpha: float) -> Tensor:
        if alpha == 2.0:
            return (z - _sparsemax_threshold(z)).clamp(min=0.0)
        scaled = (alpha - 1.0) * z
        if alpha == 1.5:
            return (scaled - _entmax15_threshold(scaled)).clamp(min=0.0).square()
        weights = _bisected(scaled, 1.0 / (alpha - 1.0))
        return weights / weights.sum(-1, keepdim=True)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.alpha = inputs[1]
        ctx.save_for_backward(output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Any) -> Any:
        """`∂p/∂z = diag(s) − s sᵀ / Σ s` with `s = p^{2 − α}` where p > 0, else 0."""
        (weights,) = ctx.saved_tensors
        mask = weights > 0
        derivative = torch.where(mask, torch.where(mask, weights, 1.0).pow(2.0 - ctx.alpha), 0.0).clamp(max=STEEPEST)
        mean = (derivative * grads[0]).sum(-1, keepdim=True) / derivative.sum(-1, keepdim=True)
        return derivative * (grads[0] - mean), None


def _sparsemax_threshold(z: Tensor) -> Tensor:
    """τ of sparsemax: the largest k whose k-th entry is still above τ decides (algorithm 1 of the first source)."""
    ordered = z.sort(-1, descending=True).values
    rank = torch.arange(1, z.shape[-1] + 1, device=z.device, dtype=z.dtype)
    excess = ordered.cumsum(-1) - 1.0
    size = (rank * ordered > excess).sum(-1, keepdim=True)
    return excess.gather(-1, size - 1) / size


def _entmax15_threshold(z: Tensor) -> Tensor:
    """τ of `Σ [z − τ]_+² = 1`, from means and variances of the k largest entries (algorithm 2 of the second source)."""
    ordered = z.sort(-1, descending=True).values
    rank = torch.arange(1, z.shape[-1] + 1, device=z.device, dtype=z.dtype)
    mean = ordered.cumsum(-1) / rank
    spread = ordered.square().cumsum(-1) - rank * mean.square()
    # after the support the root has no solution, and in the padding it is nan: neither is below its entry
    thresholds = mean - ((1.0 - spread) / rank).clamp(min=0.0).sqrt()
    size = (thresholds <= ordered).sum(-1, keepdim=True)
    return thresholds.gather(-1, size - 1)


def _bisected(z: Tensor, power: float) -> Tensor:
    """`[z − τ]_+^power`, τ in [−1, 0) halved until floats end: the left end keeps the sum at one or above."""
    low = torch.full_like(z[..., :1], -1.0)
    step = torch.ones_like(low)
    for _ in range(-math.frexp(torch.finfo(z.dtype).eps)[1] + 4):
        step = step / 2
        enough = (z - (low + step)).clamp(min=0.0).pow(power).sum(-1, keepdim=True) >= 1.0
        low = torch.where(enough, low + step, low)
    return (z - low).clamp(min=0.0).pow(power)
