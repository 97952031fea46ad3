"""Which of several texts is the better one: limits come first, then the energy without them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sea_toolkit.problem.limit_scale import outside

if TYPE_CHECKING:
    from sea_toolkit.problem.problem import Problem


def violations(problem: Problem, values: Mapping[str, Float[Tensor, "P n"]]) -> dict[str, Float[Tensor, "P n"]]:
    """Label of a limit → how far outside of it texts are, in its unit; 0 inside. See `Scored`.

    Args:
        problem: of the run.
        values: label → unweighted energies of texts.
    """
    excess = {label: limit.excess(values[label]) for label, limit in problem.limits.items()}
    return outside(excess, problem.run.multipliers.scales)


def better(problem: Problem, one: Float[Tensor, "P n M"], other: Float[Tensor, "P n M"]) -> Bool[Tensor, "P n"]:
    """Whether texts are nearer to all limits than others or, where they are as near, of a lower energy.

    Args:
        problem: of the run.
        one: their terms, as `Energies.values`.
        other: those of the others.
    """
    (far, low), (far_other, low_other) = _rank(problem, one), _rank(problem, other)
    return (far < far_other) | ((far == far_other) & (low < low_other))


def _rank(problem: Problem, values: Float[Tensor, "P n M"]) -> tuple[Float[Tensor, "P n"], Float[Tensor, "P n"]]:
    by_label = {t.label: value for t, value in zip(problem.terms, values.unbind(-1), strict=True)}
    energy = problem.energy_without_limits(by_label)
    far = sum(violations(problem, by_label).values(), torch.zeros_like(energy))
    return far.masked_fill(energy.isposinf(), torch.inf), energy
