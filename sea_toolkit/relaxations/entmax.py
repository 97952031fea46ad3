"""The relaxation `entmax`."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from sea_toolkit.relaxations.simplex import alpha_entmax


def entmax(
    logits: Float[Tensor, "P C T K"],
    *,
    alpha: Annotated[float, Field(ge=1.01)] = 1.5,
    temperature: Annotated[float, Field(gt=0)] = 2.0,
) -> Float[Tensor, "P C T K"]:
    """Between softmax and sparsemax: unlikely tokens weigh exactly 0, likely ones change smoothly.

    A token that leads by `temperature / (alpha - 1)` or more stands alone, and its position then has no gradient; a
    token of weight 0 has none either. The samplers start with a lead of 1 nat at least.

    Args:
        alpha: towards 1 it becomes softmax, 2 is sparsemax. 1.5 and 2 are exact and fast, others are
            found by bisection. Above 2 the derivative of a vanishing weight is infinite, and capped.
        temperature: a higher one keeps more tokens.

    Source: Peters, Niculae and Martins, 2019, arXiv 1905.05702.
    """
    return alpha_entmax(logits, alpha, temperature).to(logits.dtype)
