"""The initializer `base-samples`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from sea_toolkit.lm.decoding import Decoded, decode
from sea_toolkit.problem.initializer import Initializer

if TYPE_CHECKING:
    from sea_toolkit.core.noise import Noise
    from sea_toolkit.problem.problem import Problem


class BaseSamples(Initializer):
    """One sample of the policy per chain; a chain ends at its own end of text.

    Args:
        temperature: divides the logits; 1 samples the policy itself.
    """

    def __init__(self, *, temperature: Annotated[float, Field(gt=0)] = 1.0) -> None:
        self.temperature = temperature
        self.draws_policy = temperature == 1.0

    def write(self, problem: Problem, noise: Noise, keep_cache: bool) -> Decoded:
        uniform = noise.uniform(problem.chains, problem.length)
        return decode(
            problem.policy,
            problem.prefix,
            uniform,
            temperature=self.temperature,
            keep_cache=keep_cache,
            ledger=problem.ledger,
        )
