"""The scale of a term: how far the policy's own answers to one prompt lie apart in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from sea_toolkit.errors import RecipeError

SAME = 1e-6
"""Values that differ by less, relative to the largest of them, are equal: a batch of another size rounds otherwise."""


@dataclass(frozen=True)
class BaseScale:
    """The standard deviation of a term over base answers, around the mean of each prompt.

    What tells prompts apart is left out: it cancels in the choice between answers to one prompt. With
    `Σ_p Σ_i (v_pi − v̄_p)² / Σ_p (n_p − 1)`, a weight of w per deviation raises the mean of a reward by w deviations to
    first order, whatever the reward.

    Attributes:
        deviation: in the term's own unit; 0 where the answers to each prompt all have one value.
        texts: how many had a finite value.
        freedom: texts less prompts, the degrees of freedom.
    """

    deviation: float
    texts: int
    freedom: int

    @property
    def relative_error(self) -> float:
        """About the standard error of the deviation, as a part of it: that of a normal distribution."""
        return 1.0 / math.sqrt(2.0 * self.freedom) if self.freedom else math.inf


def base_scale(values: Float[Tensor, "P n"]) -> BaseScale:
    """The scale of a term.

    Args:
        values: its unweighted values of n base answers per prompt; those that are not finite are left out.
    """
    known, values = values.isfinite(), values.double()
    counts = known.sum(-1, keepdim=True)
    filled = values.masked_fill(~known, 0.0)
    apart = (values - filled.sum(-1, keepdim=True) / counts.clamp(min=1)).masked_fill(~known, 0.0)
    freedom = int((counts - 1).clamp(min=0).sum())
    deviation = math.sqrt(float(apart.square().sum()) / freedom) if freedom else 0.0
    if float(apart.abs().max()) <= SAME * float(filled.abs().max()):
        deviation = 0.0
    return BaseScale(deviation, int(counts.sum()), freedom)


def no_scale(label: str, scale: BaseScale) -> RecipeError:
    """The error for a term that is constant: no number of its own size can divide it."""
    return RecipeError(
        f'{label!r} has one value for all answers to a prompt ({scale.texts} base answers): scale = "base-std" has no '
        "number",
        expected="a term that tells the policy's own answers apart",
        hint="a number as its scale, or none; or more and other prompts: sea-toolkit calibrate RECIPE PROMPTS",
    )
