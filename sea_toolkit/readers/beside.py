"""What some classifiers read beside the embeddings."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Beside:
    """What some classifiers read beside the embeddings.

    Attributes:
        types: token types `[P, C, T]`; those of the context are 0.
        gates: weights of the objectives `[P, C, K]` of a gated head; see `Gates`.
    """

    types: Int[Tensor, "P C T"] | None = None
    gates: Float[Tensor, "P C K"] | None = None


NOTHING = Beside()
