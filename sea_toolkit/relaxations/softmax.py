"""The relaxation `softmax`."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from sea_toolkit.relaxations.numerics import tempered_softmax


def softmax(logits: Float[Tensor, "P C T K"], *, temperature: float = 1.0) -> Float[Tensor, "P C T K"]:
    """Softmax at a temperature: `softmax(logits / temperature)`.

    Args:
        temperature: above 0; towards 0 the weights become one-hot, towards infinity uniform.

    Raises:
        RecipeError: the temperature is not a finite number above 0.
    """
    return tempered_softmax(logits, temperature, "softmax").to(logits.dtype)
