"""The sampler `mala`: Langevin proposals on the logits, accepted or rejected (Roberts and Tweedie 1996).

    z' = z − η ∇H(z) + sqrt(2 η τ) ε,    accepted with min(1, exp((H(z) − H(z')) / τ) · q(z | z') / q(z' | z))

with H the energy of the relaxed response and a Gaussian around the first logits, see `Potential`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from sea_toolkit.core.noise import Noise
from sea_toolkit.problem.problem import Problem
from sea_toolkit.registry.options import Number
from sea_toolkit.samplers.base import Info, Law, Sampler, select_chains
from sea_toolkit.samplers.sea import langevin
from sea_toolkit.samplers.shared.latent import hard_ids, latent_of
from sea_toolkit.samplers.shared.metropolis import metropolis
from sea_toolkit.samplers.shared.potential import is_time_dependent, potential_at
from sea_toolkit.schedules.base import is_schedule


@dataclass(frozen=True)
class State:
    """Where the chains are.

    Attributes:
        logits: `[P, C, T, K]`; `candidates`: the tokens they stand for (None: the whole vocabulary).
        center: `[P, C, T, K]`, the first logits.
        value: `[P, C]`, H at `logits`; `gradient`: `[P, C, T, K]`, ∇H there.
    """

    logits: Tensor
    candidates: Tensor | None
    center: Tensor
    value: Tensor
    gradient: Tensor


class Mala(Sampler):
    """`sea` with a Metropolis–Hastings step, so that a finite step size leaves the law as it is.

    All logits of a chain are accepted together: the more positions and candidates, the smaller the step has to be. A
    step costs one pass forward and back through everything in the energy.

    Args:
        step_size: η.
        temperature: τ.
        prior_width: standard deviation of the Gaussian around the first logits, in nats.
        check_every: score the chains' texts every this many steps.
        init_scale: divides the first logits; above 1 they are flatter and easier to move.
    """

    state_type = State
    law = Law.latent(
        "the density exp(−E(relax(z))/temperature) · N(z; first logits, prior_width²) over the logits z (or points), "
        "exactly; its texts are read off by the largest logit (or the nearest token)"
    )
    needs_gradient = "every-term"
    reads_budget = "never"
    first_step = (6.0, 6.0)
    unfit_relaxations = ("noisy",)  # the same logits would have another energy each time
    default_steps = 30
    default_budget = None
    default_relaxation: ClassVar[Mapping[str, Any] | None] = {"name": "softmax", "temperature": 1.0, "top_k": 100}

    def __init__(
        self,
        *,
        step_size: Annotated[Number, Field(gt=0)] = 0.1,
        temperature: Annotated[Number, Field(gt=0)] = 0.1,
        prior_width: Annotated[float, Field(gt=0)] = 5.0,
        check_every: Annotated[int, Field(gt=0)] = 5,
        init_scale: Annotated[float, Field(gt=0)] = 1.0,
    ) -> None:
        self.step_size, self.temperature, self.prior_width = step_size, temperature, prior_width
        self.check_every, self.init_scale = check_every, init_scale

    def init(self, problem: Problem, noise: Noise) -> tuple[State, Info]:
        start = problem.start(noise)
        scored = problem.score_as_text(start.ids, start.log_prob)
        z, candidates = latent_of(problem, start.ids, scale=self.init_scale)
        return self.at(problem, z, candidates, z, noise), Info(scored)

    def step(self, problem: Problem, state: State, noise: Noise) -> tuple[State, Info]:
        step_size, temperature = problem.clock.value(self.step_size), problem.clock.value(self.temperature)
        if is_time_dependent(problem) or is_schedule(self.temperature):
            state = self.at(problem, state.logits, state.candidates, state.center, noise)
        draw = noise.normal(*state.logits.shape[1:]).to(state.logits.device)
        z = langevin(state.logits, state.gradient, step_size, temperature, draw)
        moved = self.at(problem, z, state.candidates, state.center, noise)
        log_ratio = (state.value - moved.value) / temperature + self.correction(state, moved, step_size, temperature)
        accepted = metropolis(noise, log_ratio, moved.value, problem.stopped)
        new = select_chains(accepted.mask, moved, state)
        metrics = accepted.metrics | {
            "potential": new.value,
            "gradient_norm": new.gradient.flatten(2).norm(dim=-1),
            "step_size": torch.full_like(new.value, step_size),
        }
        look = (problem.clock.step + 1) % self.check_every == 0
        return new, Info(problem.score_as_text(self.current(problem, new)) if look else None, metrics)

    def at(self, problem: Problem, z: Tensor, candidates: Tensor | None, center: Tensor, noise: Noise) -> State:
        """The state at these logits."""
        temperature = problem.clock.value(self.temperature)
        potential = potential_at(problem, z, candidates, center, temperature, self.prior_width, noise)
        return State(z, candidates, center, potential.value, potential.gradient)

    def correction(self, state: State, moved: State, step_size: float, temperature: float) -> Float[Tensor, "P C"]:
        """log q(z | z') − log q(z' | z)."""

        def log_q(to: State, origin: State) -> Tensor:
            off = to.logits - origin.logits + step_size * origin.gradient
            return -off.square().flatten(2).sum(-1) / (4 * step_size * temperature)

        return log_q(state, moved) - log_q(moved, state)

    def current(self, problem: Problem, state: State) -> Int[Tensor, "P C T"]:
        return hard_ids(problem, state.logits, state.candidates)
