"""The relaxation `sparsemax`."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from sea_toolkit.relaxations.simplex import alpha_entmax


def sparsemax(
    logits: Float[Tensor, "P C T K"], *, temperature: Annotated[float, Field(gt=0)] = 4.0
) -> Float[Tensor, "P C T K"]:
    """The point of the simplex nearest to `logits / temperature`: all but a few tokens weigh exactly 0.

    A token that leads by `temperature` or more stands alone, and its position then has no gradient; a token of weight
    0 has none either. The samplers start with a lead of 1 nat at least.

    Args:
        temperature: a higher one keeps more tokens.

    Source: Martins and Astudillo, 2016, arXiv 1602.02068.
    """
    return alpha_entmax(logits, 2.0, temperature).to(logits.dtype)
