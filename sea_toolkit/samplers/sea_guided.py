"""The samplers `sea-guided` and `sea-guided-exact`: a continuous state that guides the policy while it writes; see
`sea_toolkit.samplers.shared.guide`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sea_toolkit.registry.options import Number
from sea_toolkit.samplers.base import Law
from sea_toolkit.samplers.shared.guide import FixedGuide, GuidedProposal
from sea_toolkit.samplers.shared.suffix import SuffixSampler, exact, search
from sea_toolkit.samplers.shared.tilt import RunningMean


class SeaGuided(SuffixSampler):
    """Langevin dynamics on biases of the policy's logits, one for each position. Keep a prefix of random length, move
    the biases behind it, let the policy write the rest under them, accept with probability
    `min(1, exp(−β · (E(y') − E(y))))`. At the low `temperature` the text follows the state almost without noise of
    its own.

    Args:
        spread: standard deviation over the vocabulary of the bias towards the rewards, in nats, at first.
        gain: how fast the spread follows, so that new tokens are as likely as those of the first texts; 0: it stays.
        strength: largest multiple of the energy's first-order change that this bias is.
        noise: standard deviation of the state's noise over the vocabulary, in nats.
        step_size: of the dynamics; 1 forgets the old state.
        clip: largest bias of one token, in nats.
        temperature: of what the policy writes under the biases.
        inverse_temperature: β; larger is greedier.
    """

    law = Law.none()
    needs_gradient = "any-guide"
    first_step = (2.5, 4.0)

    def __init__(
        self,
        *,
        spread: Annotated[Number, Field(ge=0)] = 1.8,
        gain: Annotated[Number, Field(ge=0)] = 0.7,
        strength: Annotated[Number, Field(ge=0)] = 4.0,
        noise: Annotated[Number, Field(ge=0)] = 0.2,
        step_size: Annotated[Number, Field(gt=0, le=1)] = 0.5,
        clip: Annotated[float, Field(gt=0)] = 7.0,
        temperature: Annotated[float, Field(gt=0)] = 0.3,
        inverse_temperature: Annotated[Number, Field(gt=0)] = 1.0,
    ) -> None:
        proposal = GuidedProposal(
            RunningMean(), strength, spread, clip, temperature, noise=noise, step_size=step_size, gain=gain
        )
        super().__init__(proposal, search, inverse_temperature)


class SeaGuidedExact(SuffixSampler):
    """The same moves as a Metropolis–Hastings chain over biases and texts, with the exact ratio, so that its texts
    sample exp(−β E).

    The direction is that of the starting texts for the whole run. With the biases in the state, the way back costs
    nothing: a step is one pass of the policy behind the cut and one scoring, without a gradient.

    Args:
        spread: largest standard deviation over the vocabulary of the bias towards the rewards, in nats.
        strength: largest multiple of the energy's first-order change that this bias is.
        noise: standard deviation of the state's noise over the vocabulary, in nats.
        step_size: of the dynamics; 1 forgets the old state.
        clip: largest bias of one token, in nats.
        inverse_temperature: β; 1 samples exp(−E).
    """

    law = Law.target(beta="inverse_temperature")
    needs_gradient = "any-guide"
    first_step = (2.5, 3.0)

    def __init__(
        self,
        *,
        spread: Annotated[Number, Field(ge=0)] = 0.5,
        strength: Annotated[Number, Field(ge=0)] = 4.0,
        noise: Annotated[Number, Field(ge=0)] = 0.2,
        step_size: Annotated[Number, Field(gt=0, le=1)] = 0.5,
        clip: Annotated[float, Field(gt=0)] = 4.0,
        inverse_temperature: Annotated[Number, Field(gt=0)] = 1.0,
    ) -> None:
        proposal = FixedGuide(RunningMean(), strength, spread, clip, 1.0, noise=noise, step_size=step_size)
        super().__init__(proposal, exact, inverse_temperature)
