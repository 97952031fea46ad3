"""The sampler `sea`: Langevin dynamics on the logits of a relaxed response (Yuan et al., arXiv 2505.20081, eq. 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor

from sea_toolkit.core.noise import Noise
from sea_toolkit.problem.problem import Problem
from sea_toolkit.registry.options import Number
from sea_toolkit.samplers.base import Info, Law, Sampler, select_chains
from sea_toolkit.samplers.shared.latent import hard_ids, latent_of


@dataclass(frozen=True)
class State:
    """Logits `[P, C, T, K]` and the tokens they stand for (None: the vocabulary); or points `[P, C, T, D]`, None."""

    logits: Tensor
    candidates: Tensor | None


def langevin(position: Tensor, gradient: Tensor, step_size: float, temperature: float, draw: Tensor) -> Tensor:
    """One step of unadjusted Langevin: `z − η ∇E + sqrt(2 η · temperature) ε`, ε standard normal."""
    return position - step_size * gradient + (2.0 * step_size * temperature) ** 0.5 * draw


class Sea(Sampler):
    """`z ← z − η ∇E(relax(z)) + sqrt(2 η τ) ε` from the logits of base answers; the best text met is kept.

    Args:
        step_size: η, a number or a schedule.
        temperature: τ; 1 is the Langevin dynamics of exp(−E), 0 is gradient descent.
        check_every: score the chains' texts every this many steps.
        init_scale: divides the first logits; above 1 they are flatter and easier to move.
    """

    state_type = State
    law = Law.none(
        "unadjusted Langevin on the logits (or points), biased by the step size and, with straight-through or "
        "embedding, by its gradient"
    )
    needs_gradient = "every-term"
    joint = True
    reads_budget = "never"
    first_step = (5.0, 5.0)
    default_steps = 30
    default_budget = None
    default_relaxation: ClassVar[Mapping[str, Any] | None] = {"name": "straight-through", "top_k": 100}

    def __init__(
        self,
        *,
        step_size: Annotated[Number, Field(gt=0)] = 0.1,
        temperature: Annotated[Number, Field(ge=0)] = 0.1,
        check_every: Annotated[int, Field(gt=0)] = 5,
        init_scale: Annotated[float, Field(gt=0)] = 1.0,
    ) -> None:
        self.step_size, self.temperature = step_size, temperature
        self.check_every, self.init_scale = check_every, init_scale

    def init(self, problem: Problem, noise: Noise) -> tuple[State, Info]:
        start = problem.start(noise)
        logits, candidates = latent_of(problem, start.ids, scale=self.init_scale)
        return State(logits, candidates), Info(problem.score_as_text(start.ids, start.log_prob))

    def step(self, problem: Problem, state: State, noise: Noise) -> tuple[State, Info]:
        clock = problem.clock
        step_size, temperature = clock.value(self.step_size), clock.value(self.temperature)
        z = state.logits.detach().requires_grad_()
        response = problem.relax(z, state.candidates, noise)
        energies = problem.mask_nonfinite(problem.energy(response))
        gradient = problem.gradient(energies.total, z, response, energies)
        draw = noise.normal(*z.shape[1:])
        moved = langevin(state.logits, gradient, step_size, temperature, draw)
        new = State(select_chains(problem.stopped, state.logits, moved), state.candidates)
        metrics = {f"soft/{k}": v.detach() for k, v in energies.terms.items()}
        metrics |= {"soft_energy": energies.total.detach(), "gradient_norm": gradient.flatten(2).norm(dim=-1)}
        metrics["step_size"] = torch.full_like(energies.total, step_size)
        look = (clock.step + 1) % self.check_every == 0
        return new, Info(problem.score_as_text(self.current(problem, new)) if look else None, metrics)

    def current(self, problem: Problem, state: State) -> Int[Tensor, "P C T"]:
        return hard_ids(problem, state.logits, state.candidates)
