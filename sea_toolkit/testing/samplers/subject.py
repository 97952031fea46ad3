"""The sampler under test, made anew wherever it is needed, and a few of its steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.noise import Noise
from sea_toolkit.problem.problem import Problem
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.registry.items import Item
from sea_toolkit.registry.records import CORE
from sea_toolkit.runs.checkpoint import pack
from sea_toolkit.runs.compose import Composition
from sea_toolkit.samplers.base import Sampler
from sea_toolkit.testing.setting import Setting, bound_problem
from sea_toolkit.testing.tiny import tiny_reward
from sea_toolkit.testing.toys import policy as toy_policy

STEPS = 4


class Subject:
    """The sampler under test, made anew wherever it is needed."""

    def __init__(self, hub: PluginHub, item: Item, options: dict[str, Any], setting: Setting) -> None:
        self.hub, self.item, self.options, self.setting = hub, item, options, setting
        self.prompts = list(setting.prompts)

    def build(
        self,
        prompts: Sequence[str] | None = None,
        *,
        draft: str | None = None,
        reference: bool = True,
        rewards: Sequence[Any] = (),
        toy: bool = False,
        clock: Clock | None = None,
        **counts: Any,
    ) -> tuple[Composition, Problem]:
        """A composition and its problem.

        Args:
            prompts: the setting's, if left out.
            draft: a text that all chains start from.
            reference: whether −log π is in the energy.
            rewards: the other energies; one that has a gradient if left out.
            toy: a vocabulary of letters: texts come back to the same tokens, and cost what they should.
            clock: of the run.
            counts: steps or a budget.
        """
        asked = self.prompts if prompts is None else prompts
        terms = {f"reward {i}": (2.0, term) for i, term in enumerate(rewards or [tiny_reward()])}
        return bound_problem(
            self.hub,
            toy_policy(6) if toy else self.setting.model,
            ["ab"] if toy else asked,
            chains=self.setting.chains,
            length=12 if toy else self.setting.length,
            energies=[{"name": f"{CORE}:reference"}] if reference else [],
            own=terms,
            clock=clock,
            sampler={"name": self.item.qualified, **self.options, **counts},
            initializer=None if draft is None else {"name": f"{CORE}:draft", "text": draft},
        )

    def walk(
        self,
        prompts: Sequence[str] | None = None,
        *,
        steps: int = STEPS,
        stopped: int | None = None,
        **settings: Any,
    ) -> Walk:
        """A few steps from the start, of the problem that `build` makes for the other arguments; `stopped` is the chain
        of each prompt that is stopped there."""
        composition, problem = self.build(prompts, **settings)
        sampler = composition.sampler
        noise = Noise.for_prompts(problem.prompts, self.setting.seed, problem.policy.device)
        state, _ = sampler.init(problem, noise)
        walk = Walk(sampler, problem, [state])
        if stopped is not None:
            problem.stopped[:, stopped] = True
        for i in range(steps):
            problem.clock.step, problem.clock.progress = i, i / max(1, steps - 1)
            state, _ = sampler.step(problem, state, noise)
            walk.states.append(state)
        return walk


@dataclasses.dataclass
class Walk:
    """A sampler, its problem, and the states it went through."""

    sampler: Sampler
    problem: Problem
    states: list[Any]

    def ids(self, i: int) -> Tensor:
        """The responses of a state."""
        return self.sampler.current(self.problem, self.states[i])


def letters_wanted(prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
    """An energy of texts alone: the letter a is wanted."""
    return [-float(text.count("a")) for text in texts]


def leaves(state: Any) -> tuple[Any, dict[str, Tensor]]:
    """What a checkpoint would hold."""
    tensors: dict[str, Tensor] = {}
    shape = pack(state, "state", tensors)
    return shape, {k: t.detach().clone() for k, t in tensors.items()}


def same_state(a: Any, b: Any) -> bool:
    (one, tensors), (other, more) = leaves(a), leaves(b)
    return bool(one == other) and all(torch.equal(t, more[k]) for k, t in tensors.items())
