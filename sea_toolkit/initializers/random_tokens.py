"""The initializer `random`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxtyping import Int
from torch import Tensor

from sea_toolkit.core.response import after_end

if TYPE_CHECKING:
    from sea_toolkit.core.noise import Noise
    from sea_toolkit.problem.problem import Problem


def random_tokens(problem: Problem, noise: Noise) -> Int[Tensor, "P C T"]:
    """Tokens drawn uniformly from the tokenizer's vocabulary, up to the first end of text."""
    tokens = problem.policy.token_ids
    uniform = noise.uniform(problem.chains, problem.length)
    ids = tokens[(uniform * len(tokens)).long().clamp(max=len(tokens) - 1).to(tokens.device)]
    return ids.masked_fill(after_end(ids, problem.policy.eos_ids), problem.policy.eos_ids[0])
