"""The initializer `random`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxtyping import Int
from torch import Tensor

if TYPE_CHECKING:
    from sea_toolkit.noise import Noise
    from sea_toolkit.problem import Problem


def random_tokens(problem: Problem, noise: Noise) -> Int[Tensor, "P C T"]:
    """Tokens drawn uniformly from the tokenizer's vocabulary."""
    size = min(len(problem.policy.tokenizer), problem.policy.vocab_size)
    uniform = noise.uniform(problem.chains, problem.length)
    return (uniform * size).long().clamp(max=size - 1)
