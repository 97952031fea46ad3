"""Drawing responses token by token, many rows at once, each stopping at its own end of text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.noise import draw
from sea_toolkit.core.response import is_any
from sea_toolkit.errors import NumericalError
from sea_toolkit.lm.kv_cache import KeysValues, Prefix, buffered_cache, extend_cache, keep_rows, read_cache
from sea_toolkit.lm.policy import Policy

CHECK_EVERY = 8
"""Steps between checks whether rows have ended: each check waits for the device."""

LogitsProcessor = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`process(ids [rows, t], log_probs [rows, V], rows [rows]) -> logits [rows, V]` of the proposal at position t, which
follows the response tokens `ids`; `rows` says which of the P·C rows these are."""


@dataclass(frozen=True)
class Decoded:
    """Continuations of P × C rows.

    Attributes:
        ids: `[P, C, n]`; after a row's end of text, the end-of-text token again.
        log_prob: `[P, C, n]`, log π of each token, 0 after the end. NaN where the policy's logits were no
            distribution: the row ends there, and the chain is stopped when it is scored.
        log_proposal: the same under the distribution the token was drawn from.
        layers: keys and values of all response positions but the last (empty for a model that shares none), or None.
    """

    ids: Int[Tensor, "P C n"]
    log_prob: Float[Tensor, "P C n"]
    log_proposal: Float[Tensor, "P C n"]
    layers: KeysValues | None


@torch.no_grad()
def decode(
    policy: Policy,
    prefix: Prefix,
    uniform: Float[Tensor, "P C n"] | None,
    *,
    length: int = 0,
    chains: int = 1,
    start: Int[Tensor, "P C t"] | None = None,
    past: KeysValues | None = None,
    logits_processor: LogitsProcessor | None = None,
    temperature: float = 1.0,
    keep_cache: bool = False,
    ledger: Ledger | None = None,
) -> Decoded:
    """Draw n tokens after the prompt and `start` from the policy, or from a proposal made of it.

    Args:
        uniform: one number in (0, 1) per token to draw (the whole randomness), or None for greedy decoding of
            `length` tokens and `chains` rows per prompt.
        start: tokens that are kept; they contain no end of text, or the row is over already.
        past: keys and values of the first t − 1 kept tokens or more (longer is cropped); recomputed if None.
        logits_processor: turns the policy's log-probabilities into those of the proposal (unnormalized is fine).
        temperature: divides the logits before drawing; `log_prob` is always the policy's own.
        keep_cache: return the keys and values of the response; rows that ended are then carried along.

    Raises:
        NumericalError: the proposal is not finite where the policy is.
    """
    p = prefix.ids.shape[0]
    c, n = (chains, length) if uniform is None else uniform.shape[1:]
    t0 = 0 if start is None else start.shape[2]
    rows, eos = p * c, policy.eos_ids[0]
    device = policy.device
    cache = buffered_cache(prefix.rows(c), t0 + n)
    mask = prefix.mask.repeat_interleave(c, 0)
    offset = prefix.mask.sum(-1).repeat_interleave(c, 0)
    params = policy.body_parameters + policy.head_parameters
    done = torch.zeros(rows, dtype=torch.bool, device=device)
    if start is None or t0 == 0:
        hidden = prefix.last_hidden.repeat_interleave(c, 0)
    else:
        flat = start.flatten(0, 1)
        done = is_any(flat, policy.eos_ids).any(-1)
        known = min(t0 - 1, past[0][0].shape[-2]) if past else 0
        if past:
            extend_cache(cache, past, known)
        fed = flat[:, known:]
        seen = torch.nn.functional.pad(mask, (0, t0), value=True)
        positions = offset[:, None] + torch.arange(known, t0, device=device)
        hidden = policy.backbone.run(policy.backbone.embedding(fed), seen, positions, cache)[:, -1]
        if ledger is not None:
            ledger.forward("policy", fed.numel(), policy.body_parameters)
    written = torch.full((rows, t0 + n), eos, device=device)
    if start is not None:
        written[:, :t0] = start.flatten(0, 1)
    out_ids = written[:, t0:]
    out_logp = torch.zeros(rows, n, device=device)
    out_logq = torch.zeros(rows, n, device=device)
    lost = torch.zeros(rows, dtype=torch.bool, device=device)
    uniforms = None if uniform is None else uniform.to(device).flatten(0, 1)
    active_rows = torch.arange(rows, device=device)
    for i in range(n):
        logits = policy.logits(hidden)
        token, logp, logq = _draw(logits, i, written[:, : t0 + i], active_rows, uniforms, logits_processor, temperature)
        over = done[active_rows]
        token = token.masked_fill(over | logp.isnan(), eos)
        lost[active_rows] |= logq.isnan() & ~logp.isnan() & ~over
        out_ids[active_rows, i] = token
        out_logp[active_rows, i] = logp.masked_fill(over, 0.0)
        out_logq[active_rows, i] = logq.masked_fill(over, 0.0)
        done[active_rows] = over | is_any(token, policy.eos_ids)
        if ledger is not None:
            ledger.decoded()
            last = i == n - 1
            ledger.forward("policy", len(active_rows), policy.head_parameters if last else params)
        if i == n - 1:
            break
        if (i + 1) % CHECK_EVERY == 0:
            remaining = (~done[active_rows]).nonzero().squeeze(-1)
            if len(remaining) == 0 and not keep_cache:
                break
            if not keep_cache and len(remaining) <= len(active_rows) // 2:
                keep_rows(cache, remaining)
                active_rows, token = active_rows[remaining], token[remaining]
        seen = torch.nn.functional.pad(mask[active_rows], (0, t0 + i + 1), value=True)
        hidden = policy.backbone.run(
            policy.backbone.embedding(token[:, None]), seen, (offset[active_rows] + t0 + i)[:, None], cache
        )[:, 0]
    if (logits_processor is not None or temperature != 1.0) and bool(lost.any()):
        raise NumericalError(
            f"the distribution that tokens are proposed from is not finite in {int(lost.sum())} of {rows} answers",
            hint="a smaller weight, a temperature nearer to 1, or another sampler",
        )
    size = prefix.mask.shape[1]
    layers = read_cache(cache, size, size + t0 + n - 1) if keep_cache else None
    shape_of = (p, c)
    return Decoded(
        out_ids.unflatten(0, shape_of), out_logp.unflatten(0, shape_of), out_logq.unflatten(0, shape_of), layers
    )


def _draw(
    logits: Tensor,
    i: int,
    before: Tensor,
    active_rows: Tensor,
    uniforms: Tensor | None,
    logits_processor: LogitsProcessor | None,
    temperature: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """One token per row, with its log-probability under the policy and under what it was drawn from; NaN where that is
    no distribution."""
    if uniforms is None:
        token = logits.argmax(-1)
        logp = logits.log_softmax(-1).gather(-1, token[:, None]).squeeze(-1)
        return token, logp, torch.zeros_like(logp)
    if logits_processor is None and temperature == 1.0:
        probs = logits.softmax(-1)
        token, drawn = draw(probs, uniforms[active_rows, i])
        logp = probs.gather(-1, token[:, None]).squeeze(-1).log().where(drawn, torch.nan)
        return token, logp, logp
    log_probs = logits.log_softmax(-1)
    target = log_probs / temperature if temperature != 1.0 else log_probs
    if logits_processor is not None:
        target = logits_processor(before[active_rows], target, active_rows)
    target = target.log_softmax(-1)
    token, drawn = draw(target.exp(), uniforms[active_rows, i])
    logp, logq = (x.gather(-1, token[:, None]).squeeze(-1) for x in (log_probs, target))
    return token, logp, logq.where(drawn, torch.nan)
