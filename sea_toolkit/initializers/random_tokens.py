"""The initializer `random`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Int
from torch import Tensor

from sea_toolkit.core.response import is_any

if TYPE_CHECKING:
    from sea_toolkit.core.noise import Noise
    from sea_toolkit.problem.problem import Problem


def random_tokens(problem: Problem, noise: Noise) -> Int[Tensor, "P C T"]:
    """Tokens drawn uniformly from the tokenizer's vocabulary, up to the first end of text."""
    tokens = problem.policy.token_ids
    uniform = noise.uniform(problem.chains, problem.length)
    ids = tokens[(uniform * len(tokens)).long().clamp(max=len(tokens) - 1).to(tokens.device)]
    ended = is_any(ids, problem.policy.eos_ids).long().cumsum(-1)
    over = torch.nn.functional.pad(ended[..., :-1], (1, 0)) > 0
    return ids.masked_fill(over, problem.policy.eos_ids[0])
