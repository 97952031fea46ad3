"""Every recipe in the box runs on the real model, and what is to be better gets better."""

from __future__ import annotations

import pytest

import sea_toolkit as sea
from tests.helpers import hub

OPTIONS = {
    "on-topic": {"text": "It is cold and raining outside."},
    "keywords": {"words": ["day"]},
    "stay-close": {"draft": "My day was good and long."},
}
"""What a recipe cannot do without."""

NAMES = [item.name for item in hub().items("recipe")]


@pytest.fixture(scope="module")
def aligner(smollm2):
    return sea.Aligner(dtype="float32", hub=hub())


@pytest.mark.real_model
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_and_lowers_its_energy(name, aligner):
    result = aligner.align(
        "How was your day?", recipe={"name": name, **OPTIONS.get(name, {})}, max_new_tokens=8, chains=2, steps=1
    )
    assert result.steps == 1
    assert result.energy[1] <= result.energy[0]


def test_what_it_cannot_do_without_is_said():
    needing = [item.name for item in hub().items("recipe") if any(option.required for option in item.options)]
    assert sorted(needing) == sorted(OPTIONS)
