"""The relaxation `softmax`."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from sea_toolkit.relaxations.numerics import tempered_softmax


def softmax(
    logits: Float[Tensor, "P C T K"], *, temperature: Annotated[float, Field(gt=0)] = 1.0
) -> Float[Tensor, "P C T K"]:
    """Softmax at a temperature: `softmax(logits / temperature)`.

    Args:
        temperature: towards 0 the weights become one-hot, towards infinity uniform.
    """
    return tempered_softmax(logits, temperature).to(logits.dtype)
