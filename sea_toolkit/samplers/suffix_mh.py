"""The sampler `suffix-mh`: resample a suffix from the policy, accept or reject (QAlign, Faria et al. 2025, arXiv
2504.03790; QUEST, Faria et al. 2024, arXiv 2406.00049)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sea_toolkit.registry.options import Number
from sea_toolkit.samplers.base import Law
from sea_toolkit.samplers.shared.proposal import PolicyProposal
from sea_toolkit.samplers.shared.suffix import SuffixSampler, exact


class SuffixMH(SuffixSampler):
    """Propose: keep a prefix of random length, draw the rest from the policy. Accept with probability
    `min(1, exp(β · (E(y) − E(y')) + log q(y|y') − log q(y'|y)))`, where q is the policy on the suffix.

    For the power target π^α, the reference alone with weight α, proposals at the temperature 1/α are near to the law
    (Karan and Du 2025, arXiv 2510.14901).

    Args:
        inverse_temperature: β; 1 samples exp(−E), larger values search.
        temperature: of the policy in the proposals; another than 1 costs one more pass of it over the old text. Left
            out, it is 1, or 1/α for the reference alone.
        tries: suffixes that are drawn for each chain in a step, one of which is chosen and tested.
    """

    law = Law.target(beta="inverse_temperature")

    def __init__(
        self,
        *,
        inverse_temperature: Annotated[Number, Field(gt=0)] = 1.0,
        temperature: Annotated[float, Field(gt=0)] | None = None,
        tries: Annotated[int, Field(gt=0)] = 1,
    ) -> None:
        super().__init__(PolicyProposal(temperature), exact, inverse_temperature, tries)
