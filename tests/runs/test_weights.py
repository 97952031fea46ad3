"""Weights that follow a schedule: texts of different steps are compared by the weights at the end of the run."""

from __future__ import annotations

from sea_toolkit.api import align
from tests.helpers import hub, tiny_policy


def test_the_choice_follows_the_last_weights() -> None:
    growing = {"schedule": "linear", "start": 0.0, "end": 6.0}
    energies = [{"name": "reference"}, {"name": "length", "target": 3, "tolerance": 1.0, "weight": growing}]
    recipe = {"energies": energies, "sampler": {"name": "best-of-n", "steps": 4, "chains": 8}, "max_new_tokens": 10}
    result = align("the rain in the town", recipe=recipe, policy=tiny_policy(), hub=hub())
    assert len(result.candidates) > 8
    for candidate in result.candidates:
        expected = candidate.terms["reference"] + 6.0 * candidate.terms["length"]
        assert abs(candidate.energy - expected) < 1e-4
    assert result.energy[1] == min(c.energy for c in result.candidates)
    assert result.energy[0] in [c.energy for c in result.candidates]
