"""The sampler `psgld`: Langevin dynamics on the logits, preconditioned like RMSprop (Li et al. 2016, arXiv 1512.07666).

    V ← ρ V + (1 − ρ) (∇H)²,    G = 1 / (λ + √V)
    z ← z − η (G ∇H − τ Γ) + sqrt(2 η τ G) ε,    Γ_i = ∂G_i / ∂z_i

The noise is scaled by the same G as the gradient; H is the relaxed energy and a Gaussian, see `Potential`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from sea_toolkit.core.noise import Noise
from sea_toolkit.problem.problem import Problem
from sea_toolkit.registry.options import Number
from sea_toolkit.samplers.base import Info, Law, Sampler, select_chains
from sea_toolkit.samplers.shared.latent import hard_ids, latent_of
from sea_toolkit.samplers.shared.potential import Potential, potential_at

FD_STEP = 1e-2
"""Finite-difference step along a random direction, in nats."""


@dataclass(frozen=True)
class State:
    """Where the chains are.

    Attributes:
        logits: `[P, C, T, K]`; `candidates`: the tokens they stand for (None: the whole vocabulary).
        center: `[P, C, T, K]`, the first logits.
        square: `[P, C, T, K]`, V, or None before the first gradient, whose square it begins with.
        before: of the last step, for `would_accept`: where it came from and G `[P, C, T, K]`, H there and −½ |ε|²
            `[P, C]`, and η; empty before the first.
    """

    logits: Tensor
    candidates: Tensor | None
    center: Tensor
    square: Tensor | None
    before: list[Any] = field(default_factory=list)


class Psgld(Sampler):
    """`sea` with a step of its own for each logit: those with small gradients move farther.

    A step costs one pass forward and back through everything in the energy, two with `gamma`.

    Args:
        step_size: η.
        temperature: τ; 0 is RMSprop.
        decay: ρ; 1 keeps the preconditioner as it was at the first gradient.
        damping: λ; larger values make the steps more alike.
        gamma: add Γ, the drift that makes up for G changing with z. It needs the diagonal of the Hessian, estimated
            from one random direction (Bekas et al. 2007). Left out, the law is off by O(1 − decay), as in most uses.
        prior_width: standard deviation of the Gaussian around the first logits, in nats.
        check_every: score the chains' texts every this many steps.
        init_scale: divides the first logits; above 1 they are flatter and easier to move.
    """

    state_type = State
    law = Law.latent(
        "as step_size → 0 and decay → 1, with a smooth relaxation, the density exp(−E(relax(z))/temperature) · N(z; "
        "first logits, prior_width²) over the logits z; its texts are read off by the largest logit"
    )
    needs_gradient = "every-term"
    joint = True
    reads_budget = "never"
    first_step = (6.0, 6.0)
    default_steps = 30
    default_budget = None
    default_relaxation: ClassVar[Mapping[str, Any] | None] = {"name": "softmax", "temperature": 1.0, "top_k": 100}

    def __init__(
        self,
        *,
        step_size: Annotated[Number, Field(gt=0)] = 0.05,
        temperature: Annotated[Number, Field(ge=0)] = 0.1,
        decay: Annotated[float, Field(ge=0, le=1)] = 0.99,
        damping: Annotated[float, Field(gt=0)] = 0.1,
        gamma: bool = False,
        prior_width: Annotated[float, Field(gt=0)] = 5.0,
        check_every: Annotated[int, Field(gt=0)] = 5,
        init_scale: Annotated[float, Field(gt=0)] = 1.0,
    ) -> None:
        self.step_size, self.temperature, self.prior_width = step_size, temperature, prior_width
        self.decay, self.damping, self.gamma = decay, damping, gamma
        self.check_every, self.init_scale = check_every, init_scale

    def init(self, problem: Problem, noise: Noise) -> tuple[State, Info]:
        start = problem.start(noise)
        z, candidates = latent_of(problem, start.ids, scale=self.init_scale)
        return State(z, candidates, z, None), Info(problem.score_as_text(start.ids, start.log_prob))

    def step(self, problem: Problem, state: State, noise: Noise) -> tuple[State, Info]:
        step_size, temperature = problem.clock.value(self.step_size), problem.clock.value(self.temperature)
        z, width = state.logits, self.prior_width
        potential = potential_at(problem, z, state.candidates, state.center, temperature, width, noise)
        square = potential.gradient.square()
        if state.square is not None:
            square = self.decay * state.square + (1 - self.decay) * square
        scale = 1.0 / (self.damping + square.sqrt())
        drift = scale * potential.gradient
        if self.gamma:
            drift = drift - temperature * self.gamma_at(problem, state, potential.gradient, square, temperature, noise)
        draw = noise.normal(*z.shape[1:]).to(z.device)
        moved = z - step_size * drift + (2.0 * step_size * temperature * scale).sqrt() * draw
        stopped = problem.stopped
        square = square if state.square is None else select_chains(stopped, state.square, square)
        before = [z, scale, potential.value, -0.5 * draw.square().flatten(2).sum(-1), step_size]
        new = State(select_chains(stopped, z, moved), state.candidates, state.center, square, before)
        metrics = {f"soft/{k}": v.detach() for k, v in potential.energies.terms.items()}
        metrics |= {"potential": potential.value, "gradient_norm": potential.gradient.flatten(2).norm(dim=-1)}
        metrics |= {"step_size": torch.full_like(potential.value, step_size), "scale": scale.flatten(2).mean(-1)}
        metrics["would_accept"] = self.would_accept(state, potential, temperature)
        look = (problem.clock.step + 1) % self.check_every == 0
        return new, Info(problem.score_as_text(self.current(problem, new)) if look else None, metrics)

    @staticmethod
    def would_accept(state: State, potential: Potential, temperature: float) -> Float[Tensor, "P C"]:
        """The probability that a Metropolis–Hastings test would have accepted the last step, with its G held fixed: how
        large the steps are for this potential. nan before the first step and without a temperature.
        """
        if not state.before or temperature == 0:
            return torch.full_like(potential.value, torch.nan)
        origin, scale, value, forth, step_size = state.before
        off = origin - state.logits + step_size * scale * potential.gradient
        back = -(off.square() / scale).flatten(2).sum(-1) / (4.0 * step_size * temperature)
        log_ratio = (value - potential.value) / temperature + back - forth
        return log_ratio.nan_to_num(-torch.inf, torch.inf, -torch.inf).clamp(max=0.0).exp()

    def gamma_at(
        self, problem: Problem, state: State, gradient: Tensor, square: Tensor, temperature: float, noise: Noise
    ) -> Float[Tensor, "P C T K"]:
        """An unbiased estimate of `∂G/∂z = −G² (1 − ρ) ∇H ∂²H/∂z² / √V`, element by element."""
        direction = torch.where(noise.uniform(*gradient.shape[1:]) < 0.5, -1.0, 1.0).to(gradient.device)
        displaced = state.logits + FD_STEP * direction
        near = potential_at(problem, displaced, state.candidates, state.center, temperature, self.prior_width, noise)
        curvature = direction * (near.gradient - gradient) / FD_STEP
        root = square.sqrt()
        derivative = (1 - self.decay) * gradient * curvature / root.clamp(min=torch.finfo(root.dtype).tiny)
        return -derivative / (self.damping + root).square()

    def current(self, problem: Problem, state: State) -> Int[Tensor, "P C T"]:
        return hard_ids(problem, state.logits, state.candidates)
