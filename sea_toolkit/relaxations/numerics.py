"""What the relaxations share: a softmax that survives low temperatures, and the straight-through trick."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def tempered_softmax(logits: Float[Tensor, "*B K"], temperature: float) -> Float[Tensor, "*B K"]:
    """`softmax(logits / temperature)` over the last dimension, at least in float32.

    The maximum is taken off before the division, so that no temperature makes a finite logit overflow.

    Args:
        logits: -inf marks padding; every row needs one finite logit.
        temperature: above 0.
    """
    # Subtracting a constant leaves a softmax as it is, so the maximum needs no gradient.
    shifted = logits.to(torch.promote_types(logits.dtype, torch.float32))
    shifted = shifted - shifted.detach().amax(-1, keepdim=True)
    return torch.softmax(shifted / temperature, dim=-1)


class _OneHotForward(torch.autograd.Function):
    """Forward the one-hot of `index`, exactly; backward as if `soft` had been returned."""

    generate_vmap_rule = True

    @staticmethod
    def forward(soft: Tensor, index: Tensor) -> Tensor:
        return (torch.arange(soft.shape[-1], device=soft.device) == index).to(soft.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0], None


def one_hot_forward(soft: Float[Tensor, "*B K"], scores: Float[Tensor, "*B K"]) -> Float[Tensor, "*B K"]:
    """One-hot at the argmax of `scores` (the first one of a tie), with the gradient of `soft`.

    The argmax is taken from the scores because rounding can make equal weights out of different scores.
    Adding and subtracting `soft` would leave 0.99999994 in place of 1, hence the function of its own.
    """
    index = scores.detach().argmax(-1, keepdim=True)
    result: Tensor = _OneHotForward.apply(soft, index)
    return result
