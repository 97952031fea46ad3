"""Expected −log π per row, without keeping anything of the vocabulary's size for the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

Logits = Callable[[Tensor], Tensor]
"""Hidden states `[rows, D]` to float32 logits `[rows, V]`."""

IMPOSSIBLE = 1e4
"""Cost in nats of a token with logit −inf: finite, because its weight is 0 and 0 · ∞ is NaN."""


def expected_cost(
    hidden: Float[Tensor, "rows D"],
    weights: Float[Tensor, "rows K"],
    candidates: Int[Tensor, "rows K"] | None,
    logits: Logits,
    chunk_rows: int = 64,
) -> Float[Tensor, " rows"]:
    """`Σ_v p(v) · (−log softmax(logits(hidden))(v))` for each row, float32; differentiable once.

    A row's cost is one number, so its gradients `[D]` and `[K]` are computed in the forward pass, while the row's
    logits exist, and only they are kept: at most `chunk_rows` rows of `[V]` exist at a time.

    Args:
        hidden: what the logits are made of.
        weights: p over the candidates.
        candidates: their tokens, or None where K is the whole vocabulary.
        logits: the head.
        chunk_rows: rows at a time.
    """
    cost: Tensor = _ExpectedCost.apply(hidden, weights, candidates, logits, chunk_rows)
    return cost


class _ExpectedCost(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weights: Tensor, candidates: Tensor | None, logits_of: Logits, chunk_rows: int
    ) -> Tensor:
        through, mixed = ctx.needs_input_grad[:2]
        costs, hidden_gradients, weight_gradients = [], [], []
        for i in range(0, len(hidden), chunk_rows):
            chunk = slice(i, i + chunk_rows)
            with torch.set_grad_enabled(through):
                h = hidden[chunk].detach().requires_grad_(through)
                logits = logits_of(h)
            values, p = logits.detach(), weights[chunk].float()
            total = p.sum(-1, keepdim=True)
            top = values.amax(-1, keepdim=True)
            law = (values - top).exp_()
            mass = law.sum(-1, keepdim=True)
            surprisal = top + mass.log() - (values if candidates is None else values.gather(-1, candidates[chunk]))
            surprisal.clamp_(max=IMPOSSIBLE)
            costs.append((p * surprisal).sum(-1))
            if mixed:
                weight_gradients.append(surprisal)
            if through:
                law.mul_(total / mass)
                law = law.sub_(p) if candidates is None else law.scatter_add_(-1, candidates[chunk], -p)
                hidden_gradients.append(torch.autograd.grad(logits, h, law)[0])
        ctx.save_for_backward(*(torch.cat(s) if s else None for s in (hidden_gradients, weight_gradients)))
        ctx.weight_dtype = weights.dtype
        return torch.cat(costs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        hidden_gradient, weight_gradient = ctx.saved_tensors
        to_hidden = None if hidden_gradient is None else (grad[:, None] * hidden_gradient).to(hidden_gradient.dtype)
        to_weights = None if weight_gradient is None else (grad[:, None] * weight_gradient).to(ctx.weight_dtype)
        return to_hidden, to_weights, None, None, None
