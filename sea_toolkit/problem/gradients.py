"""Gradients of the energy with respect to what a sampler moves, and whose fault it is where one is not finite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.problem.terms import Term

if TYPE_CHECKING:
    from sea_toolkit.problem.problem import Problem


def not_finite(values: Float[Tensor, "P C *rest"]) -> Bool[Tensor, "P C"]:
    """The chains with a number that is NaN or infinite."""
    broken = ~values.flatten(2).sum(-1).isfinite()
    # the sum of finite numbers may overflow; so far only one number per chain was looked at
    return ~values.isfinite().flatten(2).all(-1) if bool(broken.any()) else broken


def stop_by_gradient(
    problem: Problem, broken: Bool[Tensor, "P C"], response: SoftResponse, terms: Sequence[Term]
) -> None:
    """Stop chains whose gradient is not finite, by the first term whose own gradient is not: one more pass per term.

    Args:
        problem: of the run.
        broken: the chains.
        response: where the gradient was taken.
        terms: what was differentiated.
    """
    spent = problem.ledger.state()
    for term in terms:
        if not bool(broken.any()):
            break
        own = broken & not_finite(gradient_of(problem, term, response))
        whose = f"policy {problem.policy.name!r}" if term.is_policy else f"energy {term.qualified!r}"
        problem.run.stop(f"the gradient of {whose}", own)
        broken = broken & ~own
    problem.ledger.load_state(spent)  # looking for a fault is no part of the method
    through = "" if problem.relaxation is None else f" through {problem.relaxation.owner}"
    problem.run.stop(f"the gradient of the energy{through}", broken)


@torch.enable_grad()
def gradient_of(problem: Problem, term: Term, response: SoftResponse) -> Float[Tensor, "P C T K"]:
    """The gradient of one weighted term with respect to a response's weights; 0 where it does not depend on them."""
    weights = response.weights.detach().requires_grad_()
    read = SoftResponse.from_weights(weights, response.candidates, response.eos_ids)
    total = problem.energy(read, [term]).total
    found = torch.autograd.grad(total.sum(), weights, allow_unused=True)[0] if total.requires_grad else None
    return torch.zeros_like(weights) if found is None else found
