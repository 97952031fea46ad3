"""The energy `length`: answers of about as many tokens as asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

if TYPE_CHECKING:
    from sea_toolkit.core.response import SoftResponse


def length(
    response: SoftResponse, *, target: Annotated[float, Field(ge=0)], tolerance: Annotated[float, Field(gt=0)] = 10.0
) -> Float[Tensor, "P C"]:
    """Half the squared distance of the expected length from `target`, in units of `tolerance`; nats.

    A Gaussian prior over lengths: one tolerance away costs half a nat. The expected length is the sum of the
    survival probabilities, end of text included, so a relaxed response has a gradient towards ending earlier.

    Args:
        target: tokens wanted, end of text included.
        tolerance: distance in tokens that costs half a nat.
    """
    return 0.5 * ((response.expected_length() - target) / tolerance).square()
