"""The initializer `prefilled`: answers that begin with given words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Int
from torch import Tensor

from sea_toolkit.initializers.base_samples import BaseSamples
from sea_toolkit.lm.decoding import Decoded, decode
from sea_toolkit.problem.initializer import Initializer

if TYPE_CHECKING:
    from sea_toolkit.core.noise import Noise
    from sea_toolkit.problem.problem import Problem


class Prefilled(Initializer):
    """Each chain starts with the same words and goes on with its own sample of the policy.

    Args:
        text: what the answers begin with. Its tokens stand as they are; the next one may begin with a space.
        locked: keep the words in every answer: the sampler writes what follows them, and the law it states is that of
            answers which begin so. If not, it may change them like the rest.
    """

    def __init__(self, *, text: str, locked: bool = False) -> None:
        self.text = text
        self.locked_text = text if locked else None
        self.draws_policy = locked  # what a sampler draws comes after the words

    def write(self, problem: Problem, noise: Noise, keep_cache: bool) -> Decoded | Int[Tensor, "P C T"]:
        """Where the chains start.

        Raises:
            RecipeError: the text has no tokens, or leaves no room for more.
        """
        if problem.locked is not None:  # the problem begins after the words
            return BaseSamples().write(problem, noise, keep_cache)
        policy, length = problem.policy, problem.length
        beginning = policy.beginning(self.text, length, "the text of prefilled")
        start = torch.tensor(beginning, device=policy.device).expand(len(problem.prompts), problem.chains, -1)
        uniform = noise.uniform(problem.chains, length - len(beginning))
        rest = decode(policy, problem.prefix, uniform, start=start, ledger=problem.ledger)
        return torch.cat([start, rest.ids], -1)
