"""How long a run is: so many steps, or so many samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sea_toolkit.core.clock import Clock
from sea_toolkit.errors import RecipeError
from sea_toolkit.runs.recipe import Recipe

if TYPE_CHECKING:
    from sea_toolkit.runs.recipe import SamplerSpec
    from sea_toolkit.samplers.base import Sampler


class Length(NamedTuple):
    """How long a run is.

    Attributes:
        steps: to take, or None.
        budget: to spend per prompt, in samples, or None.
    """

    steps: int | None
    budget: float | None

    @classmethod
    def of(cls, spec: SamplerSpec, sampler: Sampler) -> Length:
        """What is set, else the sampler's default."""
        if spec.steps or spec.budget:
            return cls(spec.steps, spec.budget)
        return cls(sampler.default_steps, sampler.default_budget)

    @classmethod
    def asked(cls, steps: int | None, budget: float | None) -> Length | None:
        """Another length than the recipe's, within the same bounds; None if neither is given.

        Raises:
            RecipeError: both are given, or a number is out of bounds.
        """
        if steps is None and budget is None:
            return None
        if steps is not None and budget is not None:
            raise RecipeError(f"steps = {steps} and budget = {budget}", expected="one of them")
        spec = Recipe.parse({"sampler": {"steps": steps, "budget": budget}}, where="the new length").sampler
        return cls(spec.steps, spec.budget)

    @property
    def end(self) -> Clock:
        """The end of the run: by the weights there, all of its texts are compared."""
        return Clock(step=max(0, (self.steps or 1) - 1), progress=1.0)
