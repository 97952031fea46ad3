"""The relaxation `straight-through`."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from sea_toolkit.relaxations.numerics import one_hot_forward, tempered_softmax


def straight_through(
    logits: Float[Tensor, "P C T K"], *, temperature: Annotated[float, Field(gt=0)] = 1.0
) -> Float[Tensor, "P C T K"]:
    """The best token forward, the softmax's gradient backward; of equal logits the first one wins.

    Energies see exactly the tokens that would be decoded; the gradient is that of `softmax(logits / temperature)` and
    therefore biased.

    Args:
        temperature: of the softmax in the backward pass; a low one moves only close rivals of the
            best token.

    Source: Bengio, Léonard and Courville, 2013, arXiv 1308.3432.
    """
    soft = tempered_softmax(logits, temperature).to(logits.dtype)
    return one_hot_forward(soft, logits)
