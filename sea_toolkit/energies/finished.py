"""The energy `finished`: answers that end by themselves, rather than at the length limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.problem.energy import BoundEnergy, Energy

if TYPE_CHECKING:
    from sea_toolkit.problem.context import Context


class Finished(Energy):
    """1 for an answer that has not ended within the run's length, 0 for one that has.

    It takes part in what is accepted and chosen and has no gradient: towards ending, that is one towards the
    end-of-text token at every position, and the shortest answer would win. Leave the answer room: with `max_new_tokens`
    too small for the policy to end by itself, there is no finished answer to prefer.
    """

    differentiable = False

    def bind(self, context: Context) -> BoundEnergy:
        """The energy itself: it is the same in every run."""
        return BoundEnergy(energy=unfinished, has_gradient=False, unmet=_unmet)


def unfinished(response: SoftResponse) -> Float[Tensor, "P C"]:
    """1 where no end-of-text token stands within the text, else 0."""
    end = response.probability(response.eos_ids).sum(-1)
    return 1.0 - (end * response.alive).sum(-1).clamp(max=1.0)


def _unmet(prompt: str, text: str, value: float) -> str:
    return "the answer is cut at the length limit" if value > 0 else ""
