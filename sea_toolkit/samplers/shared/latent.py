"""The latent of the samplers on relaxed responses, which starts as a given text: logits over candidates, or points in
embedding space where the relaxation takes them."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.embedding_space import EmbeddingSpace
from sea_toolkit.problem.problem import Problem

CHUNK_ROWS = 256


@torch.no_grad()
def latent_of(
    problem: Problem, ids: Int[Tensor, "P C T"], *, margin: float = 1.0, scale: float = 1.0
) -> tuple[Float[Tensor, "P C T K"], Int[Tensor, "P C T K"] | None]:
    """Log-probabilities of the policy along `ids`, the token itself lifted to the top; or the points of `ids`.

    The next-token distribution along a sampled text has another argmax than the text, so without the lift step 0
    would not decode to the answer the chain starts from.

    Args:
        problem: its `top_k` says how many candidates a position keeps; None keeps the vocabulary.
        ids: the texts to start from.
        margin: nats by which the token of the text leads.
        scale: divides the logits (5 in the released SEA settings), which flattens them.

    Returns:
        Logits, and the candidates they belong to (None for the whole vocabulary). Or points `[P, C, T, D]` in units of
        the space, and None.

    Raises:
        RecipeError: points were to be divided by a scale.
    """
    policy, space = problem.policy, space_of(problem)
    if space is not None:
        if scale != 1.0:
            raise RecipeError(
                f"init_scale = {scale:g} divides logits, and the relaxation works on points", hint="leave it out"
            )
        return space.table[ids].float() / space.unit, None
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


def hard_ids(
    problem: Problem, latent: Float[Tensor, "P C T K"], candidates: Int[Tensor, "P C T K"] | None
) -> Int[Tensor, "P C T"]:
    """The candidate with the largest logit at each position; of points, the nearest token."""
    space = space_of(problem)
    if space is not None:
        return space.nearest(latent * space.unit)
    top = latent.argmax(-1, keepdim=True)
    return (top if candidates is None else candidates.gather(-1, top)).squeeze(-1)


def space_of(problem: Problem) -> EmbeddingSpace | None:
    """Where the latent's points lie; None where it is logits."""
    return None if problem.relaxation is None else problem.relaxation.space
