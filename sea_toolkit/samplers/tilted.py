"""The samplers `tilted` and `tilted-exact`: suffixes proposed by the policy, tilted by the rewards' gradient; see
`sea_toolkit.samplers.shared.tilt`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sea_toolkit.problem.problem import Problem
from sea_toolkit.registry.options import Number
from sea_toolkit.samplers.base import Law
from sea_toolkit.samplers.shared.suffix import SuffixSampler, exact, search
from sea_toolkit.samplers.shared.tilt import CurrentGradient, RunningMean, TiltedProposal

START = (1.0, 2.2)
"""Passes of the policy, and scorings by all rewards, that a start with its gradients costs."""

TILTED_CHAINS = 10
"""Chains whose starts a compass tilts, at most: at 32 samples they do better than 4."""


class Tilted(SuffixSampler):
    """Keep a prefix of random length, draw the rest from the tilted policy, accept with probability
    `min(1, exp(−β · (E(y') − E(y))))`. The tilt follows the gradients of all texts that were met for a prompt, so
    it sharpens as the run goes on, and it is not in the ratio: the chains search. `tilted-exact` samples.

    Args:
        strength: largest multiple of the energy's first-order change that tilts a token's log-probability.
        spread: largest standard deviation of the tilt over the vocabulary, in nats.
        clip: largest tilt of one token, in nats.
        temperature: of the policy in the proposals; below 1 it writes more fluently.
        inverse_temperature: β; larger is greedier.
    """

    law = Law.none()
    needs_gradient = "any-guide"
    first_step = (2.5, 4.0)

    def __init__(
        self,
        *,
        strength: Annotated[Number, Field(ge=0)] = 4.0,
        spread: Annotated[Number, Field(ge=0)] = 1.5,
        clip: Annotated[float, Field(gt=0)] = 8.0,
        temperature: Annotated[float, Field(gt=0)] = 0.8,
        inverse_temperature: Annotated[Number, Field(gt=0)] = 1.0,
    ) -> None:
        self.tilted = TiltedProposal(RunningMean(), strength, spread, clip, temperature)
        super().__init__(self.tilted, search, inverse_temperature)

    def usual_chains(self, problem: Problem, budget: float | None) -> int:
        """More where a compass tilts their starts, each of which is then of use by itself."""
        if budget is None or not self.tilted.tilts_start(problem):
            return super().usual_chains(problem, budget)
        return max(1, min(TILTED_CHAINS, int(budget / problem.samples_of(*START))))


class TiltedExact(SuffixSampler):
    """Proposals tilted by the gradient at the chain's own text, with the exact acceptance ratio, so that the chains
    sample exp(−β E).

    The backward proposal follows the gradient at y', which costs one more pass of the LM over the old text.

    Args:
        strength: largest multiple of the energy's first-order change that tilts a token's log-probability.
        spread: largest standard deviation of the tilt over the vocabulary, in nats.
        clip: largest tilt of one token, in nats.
        temperature: of the policy in the proposals.
        inverse_temperature: β; 1 samples exp(−E).
    """

    law = Law.target(beta="inverse_temperature")
    needs_gradient = "any-reward"
    first_step = (3.5, 4.0)

    def __init__(
        self,
        *,
        strength: Annotated[Number, Field(ge=0)] = 4.0,
        spread: Annotated[Number, Field(ge=0)] = 0.5,
        clip: Annotated[float, Field(gt=0)] = 4.0,
        temperature: Annotated[float, Field(gt=0)] = 1.0,
        inverse_temperature: Annotated[Number, Field(gt=0)] = 1.0,
    ) -> None:
        proposal = TiltedProposal(CurrentGradient(), strength, spread, clip, temperature)
        super().__init__(proposal, exact, inverse_temperature)
