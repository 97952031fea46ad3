"""The relaxation `embedding`."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from sea_toolkit.lm.embedding_space import EmbeddingSpace


def embedding(points: Float[Tensor, "P C T D"], space: EmbeddingSpace) -> Float[Tensor, "P C T V"]:
    """A point in the policy's embedding space, read as the nearest token; straight-through in that space.

    The sampler's latent is a point per position and begins at the tokens of the start. Energies see the nearest
    tokens; the gradient moves the point as if it were the token's embedding (see `EmbeddingSpace.gradient`).

    Source: MuCoLa (Kumar, Paria and Tsvetkov, 2022, arXiv 2205.12558), which puts the token in the place of the point
    after each step. Here the point stays, so that steps smaller than the distance of two tokens add up.
    """
    weights: Tensor = _Nearest.apply(points, space)
    return weights


class _Nearest(torch.autograd.Function):
    """Forward the one-hot of the nearest token; backward the gradient in embedding space."""

    @staticmethod
    def forward(points: Tensor, space: EmbeddingSpace) -> Tensor:
        size = space.table.shape[0]
        return torch.zeros(*points.shape[:-1], size, dtype=points.dtype, device=points.device).scatter_(
            -1, space.nearest(points)[..., None], 1.0
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.space = inputs[1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Any) -> Any:
        return ctx.space.gradient(grads[0]).to(grads[0].dtype), None
