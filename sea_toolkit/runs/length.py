"""How long a run is: so many steps, or so many samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sea_toolkit.core.clock import Clock

if TYPE_CHECKING:
    from sea_toolkit.problem.terms import Term
    from sea_toolkit.runs.compose import Composition


@dataclass(frozen=True)
class Length:
    """Where a run ends.

    Attributes:
        steps: after so many steps, or None.
        budget: before so many base samples per prompt are exceeded, or None.
    """

    steps: int | None
    budget: float | None

    def weights(self, terms: Sequence[Term]) -> dict[str, float]:
        """Label → weight at the end, by which all texts of the run are compared."""
        end = Clock(step=max(0, (self.steps or 1) - 1), progress=1.0)
        return {term.label: end.value(term.weight) for term in terms}


def planned(composition: Composition) -> Length:
    """What the recipe says, or the sampler's default."""
    spec, sampler = composition.recipe.sampler, composition.sampler
    if spec.steps or spec.budget:
        return Length(spec.steps, spec.budget)
    return Length(sampler.default_steps, sampler.default_budget)
