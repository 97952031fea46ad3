"""log π of given continuations, for tasks with choices: the policy's own, which no run changes."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sea_toolkit.core.torch_state import own_torch_state
from sea_toolkit.lm.policy import Policy

Pair = tuple[Sequence[int], Sequence[int]]
"""Token ids of a context and of what follows it, one or more of each."""


def fitted(policy: Policy, pair: Pair) -> Pair:
    """The pair without the beginning of a context that is too long for the policy."""
    context, continuation = pair
    limit = policy.context_length
    if limit is None or len(context) + len(continuation) <= limit + 1:
        return context, continuation
    whole = [*context, *continuation][-(limit + 1) :]
    split = max(1, len(whole) - len(continuation))
    return whole[:split], whole[split:]


@own_torch_state()
@torch.no_grad()
def log_likelihoods(policy: Policy, pairs: Sequence[Pair]) -> list[tuple[float, bool]]:
    """For each pair log π of the continuation, and whether greedy decoding writes it.

    Args:
        policy: whose.
        pairs: read side by side.
    """
    width = max(len(continuation) for _, continuation in pairs)
    rows = [[*continuation, *[0] * (width - len(continuation))] for _, continuation in pairs]
    ids = torch.tensor(rows, device=policy.device)[:, None]
    lengths = [len(continuation) for _, continuation in pairs]
    mask = torch.arange(width, device=policy.device) < torch.tensor(lengths, device=policy.device)[:, None, None]
    hidden = policy.predictors(policy.prefix([context for context, _ in pairs]), policy.backbone.embedding(ids), mask)
    found = []
    for states, row, n in zip(hidden[:, 0], ids[:, 0], lengths, strict=True):
        log_probs = policy.logits(states[:n]).log_softmax(-1)
        written = log_probs.gather(-1, row[:n, None]).sum()
        found.append((float(written), bool((log_probs.argmax(-1) == row[:n]).all())))
    return found
