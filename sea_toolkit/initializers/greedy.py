"""The initializer `greedy`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxtyping import Int
from torch import Tensor

from sea_toolkit.lm.decoding import decode

if TYPE_CHECKING:
    from sea_toolkit.core.noise import Noise
    from sea_toolkit.problem.problem import Problem


def greedy(problem: Problem, noise: Noise) -> Int[Tensor, "P C T"]:
    """The most probable token at each step; all chains of a prompt start from the same answer."""
    decoded = decode(problem.policy, problem.prefix, None, length=problem.length, ledger=problem.ledger)
    return decoded.ids.expand(-1, problem.chains, -1).contiguous()
