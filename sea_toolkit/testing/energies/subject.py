"""The energy under test, bound where it is needed, and the answers it is asked about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.lm.policy import Policy
from sea_toolkit.problem.energy import as_energy
from sea_toolkit.problem.problem import Problem
from sea_toolkit.registry.allowed import Allowed
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.registry.items import Item
from sea_toolkit.testing.responses import Answers
from sea_toolkit.testing.setting import Setting, bound_problem


class Subject:
    """The energy under test, bound where it is needed."""

    def __init__(self, hub: PluginHub, item: Item, options: dict[str, Any], setting: Setting) -> None:
        self.hub, self.item, self.options, self.setting = hub, item, options, setting
        self.policy = setting.model
        # whoever writes a test in Python allows what its options name
        self.energy = as_energy(item.build(options), item.owner)
        self.allowed = Allowed(self.energy.code, self.energy.servers)
        self.prompts = list(setting.prompts)
        shape = len(self.prompts), setting.chains, setting.length
        self.answers = Answers.random(self.policy, *shape, setting.seed)
        self.problem = self.bound(self.policy, self.prompts)
        self.term = self.problem.terms[0]

    def bound(self, policy: Policy, prompts: Sequence[str]) -> Problem:
        """The energy bound to a policy and prompts, as in a run; its term is the first."""
        _, problem = bound_problem(
            self.hub,
            policy,
            prompts,
            chains=self.setting.chains,
            length=self.setting.length,
            energies=[{"name": self.item.qualified, **self.options}],
            allowed=self.allowed,
            sampler={"name": "sea"} if self.energy.joint else None,
            own={"nothing": (0.0, _nothing)},  # a recipe has more than −log π
        )
        return problem

    def samples(self) -> dict[str, SoftResponse]:
        """The answers in each form."""
        a = self.answers
        responses = {"hard": a.hard(), "one-hot": a.dense(), "few candidates": a.sparse(), "relaxed": a.soft()}
        texts = list(self.setting.texts)
        if texts:
            p, c = len(self.prompts), self.setting.chains
            rows = [[texts[(i * c + j) % len(texts)] for j in range(c)] for i in range(p)]
            responses["given texts"] = self.policy.from_text(rows, torch.ones(p, c, dtype=torch.bool))
        return responses


def _nothing(response: SoftResponse) -> Tensor:
    return 0.0 * response.expected_length()
