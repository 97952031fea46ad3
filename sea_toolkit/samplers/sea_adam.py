"""The sampler `sea-adam`: what the released settings of SEA amount to (Yuan et al., arXiv 2505.20081)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from sea_toolkit.core.noise import Noise
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.scores import Energies
from sea_toolkit.registry.options import Number
from sea_toolkit.samplers.base import Info, Law, Sampler, select_chains
from sea_toolkit.samplers.shared.guided_decoding import Guided, decode_guided
from sea_toolkit.samplers.shared.latent import latent_of

RELEASED_NOISE = (0.1, 0.05, 0.01, 0.001)
"""Noise of each quarter of the run."""


@dataclass(frozen=True)
class State:
    """Logits `[P, C, T, K]`, their tokens, Adam's moments and step count, and the text decoded last `[P, C, T]`
    with log π of its tokens and of every candidate along it."""

    logits: Tensor
    candidates: Tensor | None
    first: Tensor
    second: Tensor
    count: int
    ids: Tensor
    candidate_log_prob: Tensor


class SeaAdam(Sampler):
    """Adam on the logits down `−Σ w r / Σ|w| + reference_weight · (mean cross-entropy of softmax(z) against the LM)`.

    Noise perturbs only the point where the gradient is taken and never enters the state. The rewards see mixtures at
    the relaxation's temperature; the LM reads the decoded text, without a gradient. In every step the text is decoded
    with the LM in the loop (the largest logit inside the LM's top k, token by token), and the text of the lowest
    re-scored energy is kept. Where the recipe's energy weighs −log π differently, only that choice follows it.

    Args:
        learning_rate: Adam's.
        noise: standard deviation of the perturbation; None takes the released 0.1, 0.05, 0.01, 0.001 by quarter.
        reference_weight: of the mean-token cross-entropy.
        lm_top_k: tokens per position among which the LM lets the logits choose.
        init_scale: divides the first logits.
    """

    state_type = State
    law = Law.none()
    needs_gradient = "every-term"
    joint = True
    unfit_relaxations = ("points",)  # it decodes with logits
    first_step = (4.0, 5.0)
    default_steps = 200
    default_budget = None
    default_relaxation: ClassVar[Mapping[str, Any] | None] = {"name": "softmax", "temperature": 0.1, "top_k": 100}

    def __init__(
        self,
        *,
        learning_rate: Annotated[Number, Field(gt=0)] = 0.1,
        noise: Annotated[Number, Field(ge=0)] | None = None,
        reference_weight: Annotated[Number, Field(ge=0)] = 0.1,
        lm_top_k: Annotated[int, Field(gt=0)] = 10,
        init_scale: Annotated[float, Field(gt=0)] = 5.0,
    ) -> None:
        self.learning_rate, self.noise, self.reference_weight = learning_rate, noise, reference_weight
        self.lm_top_k, self.init_scale = lm_top_k, init_scale

    def init(self, problem: Problem, noise: Noise) -> tuple[State, Info]:
        start = problem.start(noise)
        z, candidates = latent_of(problem, start.ids, scale=self.init_scale)
        text = decode_guided(problem, z, candidates, start.ids, self.lm_top_k)
        zeros = torch.zeros_like(z)
        return self._state(z, candidates, zeros, zeros, 0, text), Info(problem.score_as_text(start.ids, start.log_prob))

    def step(self, problem: Problem, state: State, noise: Noise) -> tuple[State, Info]:
        clock = problem.clock
        sigma = RELEASED_NOISE[min(3, int(4 * clock.progress))] if self.noise is None else clock.value(self.noise)
        z = state.logits.detach().requires_grad_()
        seen = z + sigma * noise.normal(*z.shape[1:]) if sigma else z
        response = problem.relax(seen, state.candidates, noise)
        energies = self._rewards(problem, response)
        fluency = self._cross_entropy(problem, z, state)
        objective = energies.total / self._scale(problem) + clock.value(self.reference_weight) * fluency
        gradient = problem.gradient(objective, z, response, energies)
        moved, first, second = adam(state, gradient, clock.value(self.learning_rate))
        stopped = problem.stopped
        moved = select_chains(stopped, state.logits, moved)
        first, second = select_chains(stopped, state.first, first), select_chains(stopped, state.second, second)
        text = decode_guided(problem, moved, state.candidates, state.ids, self.lm_top_k)
        new = self._state(moved, state.candidates, first, second, state.count + 1, text)
        metrics = {f"soft/{k}": v.detach() for k, v in energies.terms.items()}
        metrics |= {"soft_energy": objective.detach(), "gradient_norm": gradient.flatten(2).norm(dim=-1)}
        metrics["step_size"] = torch.full_like(fluency.detach(), clock.value(self.learning_rate))
        # the first decoded text has not been scored: `init` scored the one it starts from
        changed = state.count == 0 or bool((text.ids != state.ids).any())
        return new, Info(problem.score_as_text(text.ids, text.log_prob) if changed else None, metrics)

    def current(self, problem: Problem, state: State) -> Int[Tensor, "P C T"]:
        return state.ids

    def _rewards(self, problem: Problem, response: SoftResponse) -> Energies:
        return problem.mask_nonfinite(problem.energy(response, problem.rewards))

    @staticmethod
    def _scale(problem: Problem) -> Float[Tensor, "P 1"]:
        """Σ |w| over the rewards; 1 where all of them weigh nothing."""
        total = torch.stack([problem.weight(t).abs() for t in problem.rewards]).sum(0)
        return torch.where(total > 0, total, 1.0)

    def _cross_entropy(self, problem: Problem, z: Float[Tensor, "P C T K"], state: State) -> Float[Tensor, "P C"]:
        """−Σ_v softmax(z)(v) log p_LM(v), averaged over the tokens of the decoded text."""
        alive = SoftResponse.from_ids(state.ids, problem.policy.eos_ids).alive
        cost = -(z.softmax(-1) * state.candidate_log_prob).sum(-1)
        return (cost * alive).sum(-1) / alive.sum(-1)

    @staticmethod
    def _state(z: Tensor, candidates: Tensor | None, m: Tensor, v: Tensor, count: int, text: Guided) -> State:
        return State(z, candidates, m, v, count, text.ids, text.candidate_log_prob)


def adam(state: State, gradient: Tensor, learning_rate: float) -> tuple[Tensor, Tensor, Tensor]:
    """Position and moments after one step of Adam (Kingma and Ba 2015; β = 0.9, 0.999)."""
    count = state.count + 1
    first = state.first.lerp(gradient, 0.1)
    second = state.second.lerp(gradient.square(), 0.001)
    denominator = (second / (1 - 0.999**count)).sqrt().add(1e-8)
    return state.logits - learning_rate * (first / (1 - 0.9**count)) / denominator, first, second
