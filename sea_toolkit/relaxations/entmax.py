"""The relaxation `entmax`."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from sea_toolkit.relaxations.simplex import alpha_entmax


def entmax(
    logits: Float[Tensor, "P C T K"], *, alpha: float = 1.5, temperature: float = 2.0
) -> Float[Tensor, "P C T K"]:
    """Between softmax and sparsemax: unlikely tokens weigh exactly 0, likely ones change smoothly.

    A token that leads by `temperature / (alpha - 1)` or more stands alone, and its position then has no gradient; a
    token of weight 0 has none either. The samplers start with a lead of 1 nat at least.

    Args:
        alpha: at least 1.01; towards 1 it becomes softmax, 2 is sparsemax. 1.5 and 2 are exact and fast, others are
            found by bisection. Above 2 the slope of a weight that vanishes is infinite, and capped.
        temperature: above 0; a higher one keeps more tokens.

    Raises:
        RecipeError: alpha or the temperature is out of range.

    Source: Peters, Niculae and Martins, 2019, arXiv 1905.05702.
    """
    return alpha_entmax(logits, alpha, temperature, "entmax").to(logits.dtype)
