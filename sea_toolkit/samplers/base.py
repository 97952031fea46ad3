"""What a sampler is: what it declares, `init`, `step` and `current`; the run loop does the rest."""

from __future__ import annotations

import dataclasses
import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import torch
from jaxtyping import Bool, Int
from pydantic import Field
from torch import Tensor

from sea_toolkit.core.noise import Noise
from sea_toolkit.errors import PluginError
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.scores import Scored
from sea_toolkit.registry.declared import check_declared, class_path
from sea_toolkit.registry.items import Item
from sea_toolkit.samplers.law import Law

__all__ = ["Gradients", "Info", "Law", "ReadsBudget", "Sampler", "sampler_class", "select_chains"]

Gradients = Literal["none", "any-guide", "any-reward", "any-term", "every-term"]
"""Which terms of the energy need a gradient: none; at least one besides the reference, or a compass in its place; at
least one besides the reference; at least one, the reference included; all of them."""

ReadsBudget = Literal["never", "last-round", "always"]
"""How a sampler's steps depend on the budget and on the part already spent: not at all; only by last steps that are
made to fit what is left, and cost something else than they would with more; from the first step on."""

Unfit = Literal["noisy", "points"]
"""Relaxations that draw noise; relaxations whose latent is a point in embedding space."""


@dataclass(frozen=True)
class Info:
    """What a person wants to see of a step; the next step does not need it.

    Attributes:
        scored: hard responses scored as text in this step, candidates for the result.
        metrics: name → `[P, C]`, for the trace: soft energies, gradient norm, step size, acceptance.
    """

    scored: Scored | None = None
    metrics: dict[str, Tensor] = field(default_factory=dict)


class Sampler(ABC):
    """The contract. The constructor's parameters are the options. A class must define `state_type`, `law`, `init`,
    `step` and `current`; everything else has a default. What is missing or misspelt is an error when the class is made.

    A base class of several samplers is declared as `class Base(Sampler, abstract=True)`.

    Attributes:
        state_type: the dataclass of its states: tensors, lists, tuples, numbers, strings and None, and only what the
            next step needs, since states go into checkpoints.
        law: which law the chains follow; claim only what a test shows.
        needs_gradient: which terms must have a gradient; the core refuses an energy that does not fit.
        joint: a step moves all chains together, down the gradient of the sum of their energies, and keeps all of them.
            Energies over all chains of a prompt require it.
        reads_budget: whether a step asks for `clock.budget`, `clock.left` or `clock.progress`. `compare` takes the
            answers of several budgets from one run where it does not. (Schedules in the recipe do not count.)
        first_step: passes of the policy over an answer, and scorings of it by all rewards, that a chain costs at most
            until its first step is done and its text scored, its start included; None where that is unknown. Where the
            recipe sets no chains, a small budget gets as many as it pays for.
        counts_budget: the sampler counts its budget itself, and `finished` says when it is spent; otherwise the run
            ends before the step that would exceed it.
        unfit_relaxations: kinds of relaxations that it cannot work with; the core refuses them.
        default_chains, default_steps, default_budget: used when the recipe sets none; steps or a budget, not both.
        default_relaxation: name, options and `top_k`, for samplers on relaxed responses, else None.
    """

    state_type: ClassVar[type]
    law: ClassVar[Law]
    needs_gradient: ClassVar[Gradients] = "none"
    joint: ClassVar[bool] = False
    reads_budget: ClassVar[ReadsBudget] = "always"
    first_step: ClassVar[tuple[float, float] | None] = None
    counts_budget: ClassVar[bool] = False
    unfit_relaxations: ClassVar[tuple[Unfit, ...]] = ()
    default_chains: ClassVar[Annotated[int, Field(gt=0)]] = 4
    default_steps: ClassVar[Annotated[int, Field(gt=0)] | None] = None
    default_budget: ClassVar[Annotated[float, Field(gt=0)] | None] = 32
    default_relaxation: ClassVar[Mapping[str, Any] | None] = None

    def __init_subclass__(cls, *, abstract: bool = False, **more: Any) -> None:
        super().__init_subclass__(**more)
        required = () if abstract else ("state_type", "law", "init", "step", "current")
        check_declared(cls, Sampler, required)
        if not abstract:
            _check_consistent(cls)

    @abstractmethod
    def init(self, problem: Problem, noise: Noise) -> tuple[Any, Info]:
        """The first state; its scored responses are the starting texts."""

    @abstractmethod
    def step(self, problem: Problem, state: Any, noise: Noise) -> tuple[Any, Info]:
        """One step: a function of its arguments, with all randomness from `noise`."""

    @abstractmethod
    def current(self, problem: Problem, state: Any) -> Int[Tensor, "P C T"]:
        """The hard responses of a state."""

    def finished(self, problem: Problem, state: Any) -> bool:
        """Whether the run is to end here, before its steps or its budget are spent."""
        return False

    def first_step_cost(self, problem: Problem) -> float | None:
        """Samples per prompt that the start and the first step cost at most, all chains together; None: unknown."""
        return None if self.first_step is None else problem.chains * problem.samples_of(*self.first_step)

    def usual_chains(self, problem: Problem, budget: float | None) -> int:
        """Chains per prompt where the recipe sets none: `default_chains`, or as many as a small budget pays a start and
        a first step for.

        Args:
            problem: with any number of chains.
            budget: of the run, in samples per prompt; None if it counts steps.
        """
        if budget is None:
            return self.default_chains
        each = 1.0 if self.first_step is None else problem.samples_of(*self.first_step)
        return max(1, min(self.default_chains, int(budget / each)))

    def step_cost(self, problem: Problem, state: Any, noise: Noise) -> float | None:
        """Samples per prompt that the next step costs, all chains together; None: about what the last one did.

        `problem.clock.left` says what it may cost: a sampler that can take a smaller step tells the cost of that one,
        and takes it. The run ends before a step that it cannot pay for, and spends the rest on answers of the policy.
        Nothing may be drawn from `noise` here, but looked at ahead.
        """
        return None


def _check_consistent(cls: type[Sampler]) -> None:
    """Check the declarations against each other.

    Raises:
        PluginError: the law names an option that the constructor lacks; steps and a budget, or neither; a relaxation
            without its name or `top_k`; a `state_type` that is not a dataclass; `counts_budget` without `finished`.
    """
    name = f"class {class_path(cls)}"
    options = inspect.signature(cls).parameters
    if cls.law.beta is not None and cls.law.beta not in options:
        raise PluginError(
            f"the law of {name} has the inverse temperature {cls.law.beta!r}, which is none of its options",
            expected=f"one of: {', '.join(options) or '(it has no options)'}",
            hint="Law.target() if the inverse temperature is 1",
        )
    if (cls.default_steps is None) == (cls.default_budget is None):
        raise PluginError(
            f"{name} has default_steps = {cls.default_steps} and default_budget = {cls.default_budget}",
            expected="one of them, and None for the other",
        )
    if cls.default_relaxation is not None and not {"name", "top_k"} <= set(cls.default_relaxation):
        raise PluginError(f"default_relaxation of {name} lacks name or top_k", hint='{"name": "softmax", "top_k": 100}')
    if not dataclasses.is_dataclass(cls.state_type):
        raise PluginError(f"state_type of {name} is no dataclass", hint="@dataclass(frozen=True) above it")
    if cls.counts_budget and cls.finished is Sampler.finished:
        raise PluginError(f"{name} counts its budget by itself and has no finished(problem, state)")


def sampler_class(item: Item) -> type[Sampler]:
    """The class of a registered sampler.

    Raises:
        PluginError: what the plugin registered is not a `Sampler`; the message names plugin and distribution.
    """
    target = item.target
    if not (inspect.isclass(target) and issubclass(target, Sampler)) or inspect.isabstract(target):
        raise PluginError(
            f"{item.owner}: {target!r} is no sampler",
            expected="a class that derives from sea_toolkit.Sampler",
        )
    return target


Chains = TypeVar("Chains")


def select_chains(mask: Bool[Tensor, "P C"], if_true: Chains, if_false: Chains) -> Chains:
    """Choose chain by chain between two states, or between two tensors.

    Tensors are `[P, C, …]`, or `[P·C, …]` as keys and values are; lists, tuples and dataclasses of them are taken part
    by part; other values are taken from `if_true`.

    Raises:
        PluginError: a tensor has no row for each chain.
    """
    if isinstance(if_true, Tensor):
        rows, (p, c) = if_true.shape, mask.shape
        if tuple(rows[:2]) == (p, c):
            per_row = mask.reshape(p, c, *[1] * (if_true.ndim - 2))
        elif rows and rows[0] == p * c:
            per_row = mask.reshape(p * c, *[1] * (if_true.ndim - 1))
        else:
            raise PluginError(
                f"chains are selected in a tensor {list(rows)}", expected=f"[P, C, …] or [P·C, …], [P, C] = {[p, c]}"
            )
        return torch.where(per_row, if_true, if_false)  # type: ignore[call-overload]
    if isinstance(if_true, list | tuple):
        pairs = zip(if_true, if_false, strict=True)  # type: ignore[call-overload]
        return type(if_true)(select_chains(mask, a, b) for a, b in pairs)
    if dataclasses.is_dataclass(if_true) and not isinstance(if_true, type):
        names = [f.name for f in dataclasses.fields(if_true)]
        selected = {n: select_chains(mask, getattr(if_true, n), getattr(if_false, n)) for n in names}
        return dataclasses.replace(if_true, **selected)
    return if_true
