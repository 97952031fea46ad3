"""Sparse relaxations by bisection, with the exact gradients of the `entmax` package."""

from __future__ import annotations

from typing import Annotated

import entmax
import torch
from pydantic import Field
from torch import Tensor

SOFT = 1.01
"""Below this alpha, entmax is the softmax: its exponent 1 / (alpha − 1) is beyond float32."""


def entmax_bisect(
    logits: Tensor,
    *,
    alpha: Annotated[float, Field(ge=1)] = 1.5,
    temperature: Annotated[float, Field(gt=0)] = 1.0,
) -> Tensor:
    """`argmax_p ⟨p, z⟩ + H_α(p)` with the Tsallis entropy of order α: any α, also one that changes during a run.

    `logits` and the result are `[P, C, T, K]`; a logit of −inf is padding and gets exactly 0.

    Args:
        alpha: 1 is the softmax, 2 the sparsemax; the larger, the fewer candidates have any weight. Below 1.01 it
            counts as 1.
        temperature: divides the logits; towards 0 the weights become one-hot.

    Source: Peters, Niculae and Martins, 2019, arXiv 1905.05702.
    """
    scores = _scores(logits, temperature)
    weights = scores.softmax(-1) if alpha < SOFT else entmax.entmax_bisect(scores, alpha=float(alpha))
    return weights.to(logits.dtype)


def normmax(
    logits: Tensor,
    *,
    alpha: Annotated[float, Field(ge=1.1)] = 4.0,
    temperature: Annotated[float, Field(gt=0)] = 1.0,
) -> Tensor:
    """`argmax_p ⟨p, z⟩ − ‖p‖_α` over the simplex: the few candidates that stay share the weight almost equally.

    `logits` and the result are `[P, C, T, K]`; a logit of −inf is padding and gets exactly 0.

    Args:
        alpha: the larger, the more equal the weights of those that stay.
        temperature: divides the logits; the lower, the fewer stay.

    Source: Santos, Niculae, McNamee and Martins, 2024, arXiv 2402.13725.
    """
    weights: Tensor = entmax.normmax_bisect(_scores(logits, temperature), alpha=float(alpha))
    return weights.to(logits.dtype)


def _scores(logits: Tensor, temperature: float) -> Tensor:
    """Logits over temperature, at least float32, the largest 0: no temperature overflows then."""
    values = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return (values - values.detach().amax(-1, keepdim=True)) / temperature
