"""The initializer `base-samples`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from sea_toolkit.decoding import decode

if TYPE_CHECKING:
    from sea_toolkit.noise import Noise
    from sea_toolkit.problem import Problem


def base_samples(
    problem: Problem, noise: Noise, *, temperature: Annotated[float, Field(gt=0)] = 1.0
) -> tuple[Int[Tensor, "P C T"], Float[Tensor, "P C T"]]:
    """One sample of the policy per chain; a chain ends at its own end of text. Returns the ids and their log π.

    Args:
        temperature: divides the logits; 1 samples the policy itself.
    """
    uniform = noise.uniform(problem.chains, problem.length)
    drawn = decode(problem.policy, problem.prefix, uniform, temperature=temperature, ledger=problem.ledger)
    return drawn.ids, drawn.log_prob
