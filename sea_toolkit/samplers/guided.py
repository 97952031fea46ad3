"""Decoding with the LM in the loop, in parallel: `argmax of z inside the LM's top k`, token by token, as a fixed point.

Token by token this needs T sequential passes. Started from a guess (the text of the step before), one pass over all
positions tells what each token would be after the tokens guessed before it; up to the first difference the answer is
final, and the next pass begins there (Jacobi decoding, Song et al. 2021, arXiv 2002.03629). The result is the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sea_toolkit.prefix import growing_cache, read_cache
from sea_toolkit.problem import Problem
from sea_toolkit.response import is_any


@dataclass(frozen=True)
class Guided:
    """The decoded text and the policy's view along it.

    Attributes:
        ids: `[P, C, T]`; after a row's end of text, the end-of-text token again.
        log_prob: `[P, C, T]`, log π of each token.
        candidate_log_prob: `[P, C, T, K]`, log π of every candidate at each position.
    """

    ids: Int[Tensor, "P C T"]
    log_prob: Float[Tensor, "P C T"]
    candidate_log_prob: Float[Tensor, "P C T K"]


@torch.no_grad()
def decode_guided(
    problem: Problem,
    logits: Float[Tensor, "P C T K"],
    candidates: Int[Tensor, "P C T K"] | None,
    guess: Int[Tensor, "P C T"],
    top: int,
) -> Guided:
    """At each position the candidate with the largest logit among the policy's `top` next tokens.

    Where no candidate is among them, the policy's own favorite is taken.
    """
    policy, prefix = problem.policy, problem.prefix
    p, c, length = guess.shape
    ids = guess.flatten(0, 1)
    z = logits.flatten(0, 1)
    names = None if candidates is None else candidates.flatten(0, 1)
    before = prefix.rows(c)
    mask, size = prefix.mask.repeat_interleave(c, 0), prefix.mask.shape[1]
    offset = mask.sum(-1, keepdim=True)
    first = prefix.last_hidden.repeat_interleave(c, 0)[:, None]
    log_prob = z.new_zeros(p * c, length)
    view = torch.empty_like(z)
    settled, past = 0, before
    while settled < length:
        # tokens settled − 1 … length − 2 predict positions settled … length − 1
        start = max(settled - 1, 0)
        cache = growing_cache([(k[..., : size + start, :], v[..., : size + start, :]) for k, v in past])
        seen = torch.nn.functional.pad(mask, (0, length - 1), value=True)
        positions = offset + torch.arange(start, length - 1, device=ids.device)
        if start < length - 1:
            embeds = policy.backbone.embedding(ids[:, start : length - 1])
            hidden = policy.backbone.run(embeds, seen, positions, cache)
            problem.ledger.forward("policy", hidden.shape[0] * hidden.shape[1], policy.body_parameters)
            past = read_cache(cache, 0, size + length - 1)
        else:
            hidden = first[:, :0]
        hidden = torch.cat([first, hidden], 1) if settled == 0 else hidden
        problem.ledger.forward("policy", hidden.shape[0] * hidden.shape[1], policy.head_parameters)
        problem.ledger.decode_steps += 1
        tail_names = None if names is None else names[:, settled:]
        chosen, logp, tail = _choose(policy.logits(hidden), z[:, settled:], tail_names, top)
        new = _after_end(torch.cat([ids[:, :settled], chosen], 1), policy.eos_ids)
        log_prob[:, settled:], view[:, settled:] = logp, tail
        same = (new == ids).all(0)
        ids = new
        differs = (~same[settled:]).nonzero()
        # a token that changed was right already when it was chosen; what follows it must be looked at again
        settled = length if len(differs) == 0 else settled + int(differs[0]) + 1
    shape = (p, c)
    return Guided(ids.unflatten(0, shape), log_prob.unflatten(0, shape), view.unflatten(0, shape))


def _choose(
    lm: Float[Tensor, "rows n V"], z: Float[Tensor, "rows n K"], names: Int[Tensor, "rows n K"] | None, top: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens, their log π, and log π of all candidates."""
    normalizer = lm.logsumexp(-1, keepdim=True)
    best, where = lm.topk(min(top, lm.shape[-1]), dim=-1)
    view = lm if names is None else lm.gather(-1, names)
    inside = z.masked_fill(view < best[..., -1:], -torch.inf)
    pick = inside.argmax(-1, keepdim=True)
    token = pick if names is None else names.gather(-1, pick)
    token = torch.where(inside.gather(-1, pick).isinf(), where[..., :1], token)
    return token.squeeze(-1), (lm.gather(-1, token) - normalizer).squeeze(-1), view - normalizer


def _after_end(ids: Int[Tensor, "rows T"], eos_ids: tuple[int, ...]) -> Int[Tensor, "rows T"]:
    over = is_any(ids, eos_ids).long().cumsum(-1) - is_any(ids, eos_ids).long() > 0
    return ids.masked_fill(over, eos_ids[0])
