"""The potential of samplers that state a law over logits: a relaxed energy and a Gaussian that keeps it in place."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from sea_toolkit.core.noise import Noise
from sea_toolkit.problem.problem import Energies, Problem
from sea_toolkit.schedules.base import is_schedule


@dataclass(frozen=True)
class Potential:
    """`H(z) = E(relax(z)) + temperature · ‖z − z_0‖² / 2 width²`, at one point.

    E is bounded and does not change when a constant is added to all logits of a position, so that exp(−E) alone could
    not be normalized: `exp(−H/temperature)` is `exp(−E/temperature)` times a Gaussian around the first logits.

    Attributes:
        value: `[P, C]`, H.
        gradient: `[P, C, T, K]`, ∇H.
        energies: those of the relaxed response.
    """

    value: Float[Tensor, "P C"]
    gradient: Float[Tensor, "P C T K"]
    energies: Energies


def potential_at(
    problem: Problem,
    logits: Float[Tensor, "P C T K"],
    candidates: Int[Tensor, "P C T K"] | None,
    center: Float[Tensor, "P C T K"],
    temperature: float,
    width: float,
    noise: Noise,
) -> Potential:
    """H and its gradient: one pass forward and back through everything in the energy."""
    z = logits.detach().requires_grad_()
    response = problem.relax(z, candidates, noise)
    energies = problem.mask_nonfinite(problem.energy(response))
    gradient = problem.gradient(energies.total, z, response, energies)
    pull, off = temperature / width**2, logits - center
    value = energies.total.detach() + 0.5 * pull * off.square().flatten(2).sum(-1)
    return Potential(value, gradient + pull * off, energies)


def is_time_dependent(problem: Problem) -> bool:
    """Whether a weight or an option follows a schedule, or a multiplier moves, so that the potential changes from step
    to step."""
    options = {} if problem.relaxation is None else problem.relaxation.options
    moving = not all(t.weight.is_constant for t in problem.terms) or any(map(is_schedule, options.values()))
    return problem.is_time_dependent or moving or not problem.run.multipliers.are_constant
