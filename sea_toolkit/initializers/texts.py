"""Given texts as the ids that chains start with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int
from torch import Tensor

from sea_toolkit.lm.decoding import decode

if TYPE_CHECKING:
    from sea_toolkit.problem.problem import Problem


def token_count(problem: Problem, text: str, finished: bool) -> int:
    """Tokens of a text, with its end if it is finished."""
    (ids,) = problem.policy.answers.encode([problem.policy.as_answer(text)])
    return len(ids) + finished


def start_from(
    problem: Problem, texts: Sequence[Sequence[str]], finished: Sequence[Sequence[bool]]
) -> Int[Tensor, "P C T"]:
    """P × C texts at the run's length; unfinished ones are continued by the policy's most probable tokens.

    Args:
        problem: of the run.
        texts: each of at most `problem.length` tokens, see `token_count`.
        finished: whether each is a whole answer.
    """
    length, policy = problem.length, problem.policy
    response = policy.from_text([[policy.as_answer(text) for text in row] for row in texts], torch.tensor(finished))
    ids = response.ids[..., :length]
    ids = torch.nn.functional.pad(ids, (0, length - ids.shape[-1]), value=policy.eos_ids[0])
    counts = (response.alive > 0).sum(-1).tolist()
    for p, row in enumerate(finished):
        prefix = problem.prefix.select(torch.tensor([p], device=ids.device))
        for c, done in enumerate(row):
            n = counts[p][c]
            if done or n == length:
                continue
            start = ids[p : p + 1, c : c + 1, :n]
            rest = decode(policy, prefix, None, length=length - n, start=start, ledger=problem.ledger)
            ids[p, c, n:] = rest.ids[0, 0]
    return ids
