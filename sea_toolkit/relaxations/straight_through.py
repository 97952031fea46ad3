"""The relaxation `straight-through`."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from sea_toolkit.relaxations.numerics import one_hot_forward, tempered_softmax


def straight_through(logits: Float[Tensor, "P C T K"], *, temperature: float = 1.0) -> Float[Tensor, "P C T K"]:
    """The best token forward, the softmax's gradient backward; of equal logits the first one wins.

    Energies see the very tokens that would be decoded; the gradient is that of
    `softmax(logits / temperature)` and therefore biased.

    Args:
        temperature: of the softmax in the backward pass, above 0; a low one moves only close rivals of the
            best token.

    Raises:
        RecipeError: the temperature is not a finite number above 0.

    Source: Bengio, Léonard and Courville, 2013, arXiv 1308.3432.
    """
    soft = tempered_softmax(logits, temperature, "straight-through").to(logits.dtype)
    return one_hot_forward(soft, logits)
