"""Constraints: how far a reading lies outside of its limits."""

from __future__ import annotations

import pytest
import torch

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.problem.constraints import hinge
from sea_toolkit.problem.energy import BoundEnergy


@pytest.mark.parametrize(("low", "high"), [(1.0, None), (None, -1.0), (-0.5, 0.5)])
def test_the_limits_of_a_reward_are_read_as_a_reward(low, high):
    reading = torch.tensor([[2.0, 0.0, -2.0]])
    expected = torch.zeros(1, 3)
    if high is not None:
        expected += (reading - high).clamp(min=0)
    if low is not None:
        expected += (low - reading).clamp(min=0)
    reward = BoundEnergy(energy=lambda response: -reading, is_reward=True)
    limit = hinge(reward, low, high)
    response = SoftResponse.from_ids(torch.zeros(1, 3, 4, dtype=torch.long), (0,))
    assert torch.equal(limit.energy(response), expected)
    assert not limit.is_reward


def test_a_constraint_on_text_only_energies_scores_text_only():
    bound = hinge(BoundEnergy(score_text=lambda prompts, texts: [float(len(t)) for t in texts]), None, 3.0)
    assert bound.energy is None
    assert bound.score_text(["p", "p"], ["ab", "abcde"]).tolist() == [0.0, 2.0]


def test_a_constraint_keeps_what_its_energy_says():
    bound = BoundEnergy(energy=lambda response: response, warnings=["only an approximation"], fingerprint="abc")
    limit = hinge(bound, 0.0, None)
    assert list(limit.warnings) == ["only an approximation"]
    assert limit.fingerprint == "abc"
