"""The sampler `tempering`: its law, trades that would break it, and a run through the hub."""

from __future__ import annotations

import pytest
import sea_tempering
import torch
from sea_tempering.sampler import Tempering

import sea_toolkit as sea
from sea_toolkit.testing import ConformanceError, Setting, check_sampler, tiny_policy

SHORT = {"prompts": ["the rain", "a"], "chains": 2, "length": 6}
"""For the steps before the law is checked."""


def test_it_keeps_the_promises_of_a_sampler():
    assert "law" in check_sampler(Tempering)


def test_its_law_holds_at_another_temperature_and_ladder():
    assert "law" in check_sampler(Tempering, Setting(**SHORT, burn=30), replicas=3, inverse_temperature=2.0)


class AlwaysTrades(Tempering):
    """A mutant: neighbors trade whatever their texts cost."""

    def traded(self, problem, state, inverse, beta, noise):
        return super().traded(problem, state, inverse, torch.zeros_like(beta), noise)


class TradesTheWrongWay(Tempering):
    """A mutant: the worse text climbs."""

    def traded(self, problem, state, inverse, beta, noise):
        return super().traded(problem, state, inverse, -beta, noise)


@pytest.mark.parametrize("mutant", [AlwaysTrades, TradesTheWrongWay])
def test_other_trades_break_the_law(mutant):
    with pytest.raises(ConformanceError, match="law"):
        check_sampler(mutant, Setting(**SHORT))


def test_a_run_reports_trades_and_ends_no_worse_than_it_began(tmp_path):
    def vowels(prompts, texts):
        return [-float(sum(letter in "aeiou" for letter in text)) for text in texts]

    hub = sea.PluginHub.discover(plugins=[])
    with hub.temporarily(sea_tempering):
        result = sea.align(
            "the rain",
            policy=tiny_policy(),
            energies={"vowels": (2.0, vowels)},
            recipe={"sampler": {"name": "tempering", "replicas": 3, "chains": 2, "steps": 6}},
            max_new_tokens=8,
            hub=hub,
            out=tmp_path / "run",
        )
    assert result.energy[1] < result.energy[0]
    trace = (tmp_path / "run" / "trace.jsonl").read_text(encoding="utf-8")
    assert '"traded"' in trace


def test_one_rung_is_no_ladder():
    hub = sea.PluginHub.discover(plugins=[])
    with hub.temporarily(sea_tempering), pytest.raises(sea.RecipeError, match="replicas"):
        hub.get("sampler", "tempering").build({"replicas": 1})
