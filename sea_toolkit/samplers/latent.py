"""The latent of the samplers on relaxed responses: logits over candidates, which start as a given text."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sea_toolkit.problem import Problem

CHUNK_ROWS = 256


@torch.no_grad()
def latent_of(
    problem: Problem, ids: Int[Tensor, "P C T"], *, margin: float = 1.0, scale: float = 1.0
) -> tuple[Float[Tensor, "P C T K"], Int[Tensor, "P C T K"] | None]:
    """Log-probabilities of the policy along `ids`, the token itself lifted to the top.

    The next-token distribution along a sampled text has another argmax than the text, so without the lift step 0
    would not decode to the answer the chain starts from.

    Args:
        problem: its `top_k` says how many candidates a position keeps; None keeps the vocabulary.
        ids: the texts to start from.
        margin: nats by which the token of the text leads.
        scale: divides the logits (5 in the released SEA settings), which flattens them.

    Returns:
        Logits, and the candidates they belong to (None for the whole vocabulary).
    """
    policy = problem.policy
    hidden = policy.predictors(problem.prefix, policy.backbone.embedding(ids)).flatten(0, 2)
    problem.ledger.forward("policy", ids.numel(), policy.body_parameters + policy.head_parameters)
    flat = ids.flatten()
    values, names = [], []
    for h, y in zip(hidden.split(CHUNK_ROWS), flat.split(CHUNK_ROWS), strict=True):
        logits = policy.logits(h).log_softmax(-1) / scale
        top = logits.amax(-1, keepdim=True)
        logits = logits.scatter(-1, y[:, None], top + margin)
        if problem.top_k is not None and problem.top_k < logits.shape[-1]:
            logits, chosen = logits.topk(problem.top_k, dim=-1)
            names.append(chosen)
        values.append(logits)
    candidates = torch.cat(names).unflatten(0, ids.shape) if names else None
    return torch.cat(values).unflatten(0, ids.shape), candidates


def hard_ids(logits: Float[Tensor, "P C T K"], candidates: Int[Tensor, "P C T K"] | None) -> Int[Tensor, "P C T"]:
    """The candidate with the largest logit at each position."""
    top = logits.argmax(-1, keepdim=True)
    return (top if candidates is None else candidates.gather(-1, top)).squeeze(-1)
