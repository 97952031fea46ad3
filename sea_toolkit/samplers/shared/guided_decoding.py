"""Decoding with the LM in the loop, in parallel: `argmax of z inside the LM's top k`, token by token, as a fixed point.

Token by token this needs T sequential passes. Started from a guess (the text of the step before), one pass over all
positions tells what each token would be after the tokens guessed before it; up to the first difference the answer is
final, and the next pass begins there (Jacobi decoding, Song et al. 2021, arXiv 2002.03629). The result is the same.

Most often the text stays as it is, and the first pass over the whole of it says so. After a changed token most of the
guess is stale, so the next pass checks only `WINDOW` positions; the window doubles while guesses hold. Finished rows
leave the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sea_toolkit.core.response import after_end
from sea_toolkit.lm.cross_entropy import IMPOSSIBLE
from sea_toolkit.lm.kv_cache import buffered_cache, crop_cache, keep_rows
from sea_toolkit.lm.micro_batches import vectors_that_fit
from sea_toolkit.lm.policy import Policy
from sea_toolkit.problem.problem import Problem

WINDOW = 2
"""Fewest positions of a pass after a changed token."""


@dataclass(frozen=True)
class Guided:
    """The decoded text and the policy's view along it.

    Attributes:
        ids: `[P, C, T]`; after a row's end of text, the end-of-text token again.
        log_prob: `[P, C, T]`, log π of each token; 0 after the end.
        candidate_log_prob: `[P, C, T, K]`, log π of every candidate at each position; 0 after the end.
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
    ids = guess.flatten(0, 1).clone()  # it is written into below
    z = logits.flatten(0, 1)
    names = None if candidates is None else candidates.flatten(0, 1)
    mask, size = prefix.mask.repeat_interleave(c, 0), prefix.mask.shape[1]
    offset = mask.sum(-1, keepdim=True)
    first = prefix.last_hidden.repeat_interleave(c, 0)[:, None]
    log_prob, view = z.new_zeros(p * c, length), torch.zeros_like(z)
    cache = buffered_cache(prefix.rows(c), length)
    active_rows = torch.arange(p * c, device=ids.device)
    settled, window = 0, length
    while len(active_rows):
        # tokens settled − 1 … stop − 2 predict positions settled … stop − 1
        start, stop = max(settled - 1, 0), min(length, settled + window)
        old = ids[active_rows]
        hidden = first[active_rows, : 1 if settled == 0 else 0]
        if start < stop - 1:
            crop_cache(cache, size + start)
            seen = torch.nn.functional.pad(mask[active_rows], (0, stop - 1), value=True)
            positions = offset[active_rows] + torch.arange(start, stop - 1, device=ids.device)
            after = policy.backbone.run(policy.backbone.embedding(old[:, start : stop - 1]), seen, positions, cache)
            problem.ledger.forward("policy", after.shape[0] * after.shape[1], policy.body_parameters)
            hidden = torch.cat([hidden, after], 1)
        problem.ledger.forward("policy", hidden.shape[0] * hidden.shape[1], policy.head_parameters)
        problem.ledger.decoded()
        part = None if names is None else names[active_rows, settled:stop]
        chosen, logp, tail = _choose_in_parts(policy, hidden, z[active_rows, settled:stop], part, top)
        new = torch.cat([old[:, :settled], chosen, old[:, stop:]], 1)
        ids[active_rows] = new.masked_fill(after_end(new, policy.eos_ids), policy.eos_ids[0])
        log_prob[active_rows, settled:stop], view[active_rows, settled:stop] = logp, tail
        # a changed token is final when it is chosen; the tokens after it must be checked again
        right = (chosen == old[:, settled:stop]).long().cumprod(-1).sum(-1)
        known = (settled + right + 1).clamp(max=stop)
        left = (known < (~after_end(ids[active_rows], policy.eos_ids)).sum(-1)).nonzero().squeeze(-1)
        if len(left) == 0:
            break
        reached = int(known[left].min())
        window = max(WINDOW, 2 * (reached - settled)) if settled else WINDOW
        if len(left) < len(active_rows):
            keep_rows(cache, left)
            active_rows = active_rows[left]
        settled = reached
    over = after_end(ids, policy.eos_ids)
    log_prob, view = log_prob.masked_fill(over, 0.0), view.masked_fill(over[..., None], 0.0)
    shape = (p, c)
    return Guided(ids.unflatten(0, shape), log_prob.unflatten(0, shape), view.unflatten(0, shape))


def _choose_in_parts(
    policy: Policy,
    hidden: Float[Tensor, "rows n H"],
    z: Float[Tensor, "rows n K"],
    names: Int[Tensor, "rows n K"] | None,
    top: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """See `_choose`; the logits of as many rows at once as the memory holds."""
    number, n, _ = hidden.shape
    rows = vectors_that_fit(number, 16.0 * n * policy.vocab_size, hidden.device)  # the logits, and what is made of them
    parts = [slice(start, start + rows) for start in range(0, number, rows)]
    found = [_choose(policy.logits(hidden[at]), z[at], None if names is None else names[at], top) for at in parts]
    chosen, log_prob, view = (
        pieces[0] if len(parts) == 1 else torch.cat(pieces) for pieces in zip(*found, strict=True)
    )
    return chosen, log_prob, view


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
    return (
        token.squeeze(-1),
        (lm.gather(-1, token) - normalizer).squeeze(-1),
        (view - normalizer).clamp(min=-IMPOSSIBLE),
    )
