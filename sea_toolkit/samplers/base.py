"""What a sampler is: a law, `init` and `step`; the run loop does the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from sea_toolkit.core.noise import Noise
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.scores import Scored

OPTIMIZER = "optimizer: samples no stated law"


@dataclass(frozen=True)
class Info:
    """What a person wants to see of a step; the next step does not need it.

    Attributes:
        scored: hard responses scored as text in this step, candidates for the result.
        metrics: name → `[P, C]`, for the trace: soft energies, gradient norm, step size, acceptance.
    """

    scored: Scored | None = None
    metrics: dict[str, Tensor] = field(default_factory=dict)


class Sampler(Protocol):
    """The contract. Settings are the constructor's options; `State` is a dataclass of tensors, lists of tensors,
    numbers and None, and holds only what the next step needs (it goes into checkpoints).

    Attributes:
        state_type: the dataclass of its states.
        law: which law the chains sample, in one sentence, or `OPTIMIZER`.
        needs_gradient: refuse energies without one.
        default_chains, default_steps, default_budget: used when the recipe sets none; steps or a budget, not both.
        default_relaxation: name, options and `top_k` for samplers on relaxed responses, else None.
        joint: may be left out; true where a step moves all chains together, down the gradient of the sum of their
            energies, and keeps or drops none: an energy in which the chains of a prompt see each other is then right.
    """

    state_type: ClassVar[type]
    law: ClassVar[str]
    needs_gradient: ClassVar[bool]
    default_chains: ClassVar[int]
    default_steps: ClassVar[int | None]
    default_budget: ClassVar[float | None]
    default_relaxation: ClassVar[dict[str, Any] | None]

    def init(self, problem: Problem, noise: Noise) -> tuple[Any, Info]:
        """The first state; its scored responses are the starting texts."""

    def step(self, problem: Problem, state: Any, noise: Noise) -> tuple[Any, Info]:
        """One step: a function of its arguments, with all randomness from `noise`."""

    def current(self, problem: Problem, state: Any) -> Int[Tensor, "P C T"]:
        """The hard responses of a state."""


def keep_stopped(stopped: Bool[Tensor, "P C"], old: Tensor, new: Tensor) -> Tensor:
    """`new`, but `old` in chains that are stopped; tensors of shape [P, C, …]."""
    return torch.where(stopped.reshape(*stopped.shape, *[1] * (new.ndim - 2)), old, new)
