"""Weighted sums of a table's rows, with the gradient of the weights, on every kind of device."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag

GATHERED = 2**25
"""Numbers of the table that the backward pass holds at once."""


def weighted_bag(
    rows: Int[Tensor, "bags K"], table: Float[Tensor, "V D"], weights: Float[Tensor, "bags K"]
) -> Float[Tensor, "bags D"]:
    """`Σ_k weights[b, k] · table[rows[b, k]]`; the gathered rows `[bags, K, D]` are never stored. The table gets no
    gradient.

    Args:
        rows: of the table.
        table: in the dtype of the weights.
        weights: one for each row.
    """
    if weights.device.type == "cpu":
        return embedding_bag(rows, table, per_sample_weights=weights, mode="sum")
    return _Bag.apply(rows, table, weights)


class _Bag(torch.autograd.Function):
    """`embedding_bag` with a backward pass of its own: torch 2.11 has none for weights in bfloat16 on CUDA."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, table: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(rows, table)
        return embedding_bag(rows, table, per_sample_weights=weights, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, Tensor]:
        rows, table = ctx.saved_tensors
        some = max(1, GATHERED // (rows.shape[1] * table.shape[1]))
        parts = [
            (table[r] @ g.unsqueeze(-1)).squeeze(-1)
            for r, g in zip(rows.split(some), gradient.split(some), strict=True)
        ]
        return None, None, torch.cat(parts)
