"""The initializer `draft`: improve a text that is there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Int
from torch import Tensor

from sea_toolkit.errors import RecipeError

if TYPE_CHECKING:
    from sea_toolkit.noise import Noise
    from sea_toolkit.problem import Problem


def draft(problem: Problem, noise: Noise, *, text: str | list[str], finished: bool = True) -> Int[Tensor, "P C T"]:
    """The given text as the first response of every chain.

    Args:
        text: one draft for all prompts, or a list with one for each.
        finished: whether the draft is a whole answer; if not, the sampler may write on after its end.

    Raises:
        RecipeError: no text, another number of drafts than prompts, or a draft longer than the run's length.
    """
    prompts = len(problem.prompts)
    drafts = [text] * prompts if isinstance(text, str) else list(text)
    if len(drafts) != prompts:
        raise RecipeError(f"{len(drafts)} drafts for {prompts} prompts", expected="one draft, or one per prompt")
    if not all(d.strip() for d in drafts):
        raise RecipeError("a draft is empty", expected="some text to improve", hint="the initializer base-samples")
    done = torch.full((prompts, 1), finished)
    response = problem.policy.from_text([[d] for d in drafts], done)
    longest = int(response.alive.sum(-1).max())
    if longest > problem.length:
        raise RecipeError(
            f"the draft has {longest} tokens", expected=f"at most {problem.length}", hint="raise --max-new-tokens"
        )
    ids = response.ids[..., : problem.length]
    ids = torch.nn.functional.pad(ids, (0, problem.length - ids.shape[-1]), value=problem.policy.eos_ids[0])
    if not finished:
        ids = _continued(problem, ids, (response.alive > 0).sum(-1).squeeze(1))
    return ids.expand(-1, problem.chains, -1).contiguous()


def _continued(problem: Problem, ids: Tensor, lengths: Tensor) -> Tensor:
    """Greedy continuations of unfinished drafts up to the run's length."""
    from sea_toolkit.decoding import decode

    rows = []
    for p, n in enumerate(lengths.tolist()):
        if n == problem.length:
            rows.append(ids[p : p + 1])
            continue
        prefix = problem.prefix.select(torch.tensor([p], device=ids.device))
        start = ids[p : p + 1, :, :n]
        rest = decode(problem.policy, prefix, None, length=problem.length - n, start=start, ledger=problem.ledger)
        rows.append(torch.cat([start, rest.ids], -1))
    return torch.cat(rows)
