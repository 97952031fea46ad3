"""A sparse relaxation by bisection, with the exact gradient of the `entmax` package."""

from __future__ import annotations

from typing import Annotated

import entmax
import torch
from pydantic import Field
from torch import Tensor


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
    values = logits.to(torch.promote_types(logits.dtype, torch.float32))
    scores = (values - values.detach().amax(-1, keepdim=True)) / temperature  # no temperature overflows
    weights: Tensor = entmax.normmax_bisect(scores, alpha=float(alpha))
    return weights.to(logits.dtype)
