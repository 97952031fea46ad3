"""Samplers that state a law keep it under a limit: chains against the enumerated law with the frozen multiplier."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sea_toolkit.core.clock import Clock
from sea_toolkit.problem.limits import PromptLimits
from sea_toolkit.testing.toys import EOS, PULL, Toy, energies_of, measure, policy

TOY = Toy(5, 3)
MOVING, BURN, COUNTED = 5, 20, 12
MOST = 0.0
"""Largest pull: a third of the policy's texts keep it."""


def pulls() -> torch.Tensor:
    """The reading of every response."""
    cost = PULL(policy(TOY.vocab).table)
    return torch.tensor([cost.of([i for i in r if i != EOS]) for r in TOY.responses], dtype=torch.float64)


def found(sampler, *, freezes=True):
    """The distance of the chains from the law with the multiplier of the middle of the run."""
    law, steps = torch.zeros(len(TOY.responses), dtype=torch.float64), []

    def limit(made, problem):
        (pull,) = (t for t in problem.terms if t.label == "pull")
        bounds = PromptLimits(None, (MOST,), "multiplier", 1.0)
        problem.terms.append(replace(pull, label="pull limit", limit=bounds))
        problem.run.multipliers.freezes = freezes

    def step(made, problem, state, noise):
        multipliers, progress = problem.run.multipliers, 0.5 * len(steps) / MOVING
        state, info = made.step(problem, state, noise)
        terms, accepted = info.scored.energies.terms, info.metrics.get("accepted")
        multipliers.tell(problem.terms, Clock(len(steps), progress), terms, accepted)
        steps.append(multipliers.values["pull limit"].item())
        if len(steps) == MOVING + 1:
            value, stiffness = steps[-1 if freezes else -2], multipliers.scales["pull limit"].stiffness
            pushed = (value + stiffness * (pulls() - MOST)).clamp(min=0).square()
            law.copy_((-energies_of(TOY) - (pushed - value**2) / (2 * stiffness)).softmax(-1))
        return state

    distance = measure(TOY, sampler, law=law, chains=512, burn=BURN, steps=COUNTED, tamper=limit, step=step)
    assert len(set(steps)) > 3
    return distance, law, steps


@pytest.mark.parametrize("sampler", ["suffix-mh", "tilted-exact"])
def test_the_chains_follow_the_law_with_the_multiplier_that_stands_still(sampler):
    distance, law, steps = found(sampler)
    assert distance.ess > 1000
    assert distance, distance
    assert len(set(steps[MOVING:])) == 1
    kept, without = (float(p[pulls() <= MOST].sum()) for p in (law, energies_of(TOY).neg().softmax(-1)))
    assert kept > without + 0.3


def test_a_multiplier_that_goes_on_moving_has_another_law():
    distance, _, steps = found("suffix-mh", freezes=False)
    assert steps[-1] != steps[MOVING]
    assert not distance
