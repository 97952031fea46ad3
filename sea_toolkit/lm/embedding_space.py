"""The policy's token embeddings as a space of points, for relaxations whose latent is a point per position."""

from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

CHUNK_ROWS = 256


class EmbeddingSpace:
    """Points `[…, D]` among the embeddings of V tokens; distances are Euclidean.

    Args:
        table: the embedding of every id.
        tokens: the ids that are points of the space, in rising order; None for all of them.
    """

    def __init__(self, table: Float[Tensor, "V D"], tokens: Int[Tensor, " n"] | None = None) -> None:
        self.table = table
        self._tokens = None if tokens is None or len(tokens) == len(table) else tokens

    @cached_property
    def _points(self) -> Float[Tensor, "n D"]:
        return self.table if self._tokens is None else self.table[self._tokens]

    @cached_property
    def unit(self) -> float:
        """Root mean square of a coordinate's difference between two tokens drawn at random: 1 in a sampler's latent."""
        table = self._points.float()
        spread = table.square().sum(-1).mean() - self.center.square().sum()
        return float((2 * spread / table.shape[-1]).clamp(min=1e-20).sqrt())

    @cached_property
    def center(self) -> Float[Tensor, " D"]:
        """The mean of all embeddings, float32."""
        return self._points.float().mean(0)

    @torch.no_grad()
    def nearest(self, points: Float[Tensor, "*B D"]) -> Int[Tensor, "*B"]:
        """The token whose embedding is nearest to each point; of equally near ones the first."""
        table = self._points.float()
        norms, nearest = table.square().sum(-1), []
        for rows in points.reshape(-1, points.shape[-1]).float().split(CHUNK_ROWS):
            nearest.append((norms - 2 * rows @ table.T).argmin(-1))
        places = torch.cat(nearest).view(points.shape[:-1])
        return places if self._tokens is None else self._tokens[places]

    def gradient(self, of_weights: Float[Tensor, "*B V"]) -> Float[Tensor, "*B D"]:
        """The gradient in the space that best fits the token weights' gradients, by least squares over all tokens:

            min over g and b of Σ_v (of_weights[v] − b − ⟨g, e_v⟩)².

        It is exactly ∂E/∂(mean embedding) where E reads the weights through `table`, and exact for any cost of the form
        `b + ⟨g, e_v⟩` per token, such as −log π under a head that shares the table.
        """
        # the mean has no effect; subtracting it avoids the cancellation of large numbers
        weights = (of_weights if self._tokens is None else of_weights[..., self._tokens]).float()
        return (weights - weights.mean(-1, keepdim=True)) @ self._points.float() @ self._inverse

    @cached_property
    def _inverse(self) -> Float[Tensor, "D D"]:
        """The (pseudo-)inverse of the embeddings' scatter around their mean, found once, in float64."""
        device = "cpu" if self.table.device.type == "mps" else self.table.device
        scatter = torch.zeros(self.table.shape[-1], self.table.shape[-1], dtype=torch.float64, device=device)
        for rows in self._points.split(CHUNK_ROWS * 16):
            off = rows.to(device).double() - self.center.to(device).double()
            scatter += off.T @ off
        inverse = torch.linalg.pinv(scatter, hermitian=True, rtol=1e-10)
        return inverse.float().to(self.table.device)
