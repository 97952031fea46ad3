"""The name of a reward: a reward model, or an energy that is a reward."""

from __future__ import annotations

from typing import Any

import pytest

import sea_toolkit as sea
from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.judges import Judge
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.testing.tiny import tiny_policy


class Formality(sea.Energy):
    """How far a text is from a length."""

    def __init__(self, *, target: int = 4) -> None:
        self.target = target

    def bind(self, context: Any) -> sea.BoundEnergy:
        return sea.BoundEnergy(
            score_text=lambda prompts, texts: [float(abs(len(t) - self.target)) for t in texts], is_reward=True
        )


class Cost(sea.Energy):
    """An energy that is no reward, which shows only when it is bound."""

    def bind(self, context: Any) -> sea.BoundEnergy:
        return sea.BoundEnergy(score_text=lambda prompts, texts: [0.0] * len(texts))


class Plugin:
    @sea.hookimpl
    def sea_register_energies(self, register: Any) -> None:
        register("formality", Formality, summary="how formal")
        register("cost", Cost, summary="a cost")


def align(term: dict[str, Any]) -> sea.Result:
    hub = sea.PluginHub.discover(plugins=())
    recipe = {"energies": [{"name": "reference"}, term], "sampler": {"name": "best-of-n", "steps": 1, "chains": 1}}
    with hub.temporarily(Plugin()):
        return sea.align("a", policy=tiny_policy(), hub=hub, recipe=recipe, max_new_tokens=3)


def test_a_reward_may_be_an_energy_of_a_plugin() -> None:
    result = align({"name": "reward", "model": "formality", "weight": 2.0, "target": 9})
    assert list(result.rewards) == ["formality"]
    assert result.rewards["formality"] == (-result.terms["formality"][0], -result.terms["formality"][1])


def test_an_energy_that_is_no_reward_is_called_by_its_own_flag() -> None:
    for name, hint in (("cost", "--energy cost=3"), ("length", "--energy length=3")):
        with pytest.raises(RecipeError, match=f"'{name}' is an energy, and no reward") as refused:
            align({"name": "reward", "model": name, "weight": 3.0, **({"target": 4} if name == "length" else {})})
        assert refused.value.hint == hint
    with pytest.raises(RecipeError, match="keywords has no words") as refused:
        align({"name": "reward", "model": "keywords", "weight": 3.0})
    assert "'keywords' is an energy: --energy keywords=3" in str(refused.value)


def test_an_energy_is_no_judge() -> None:
    for name in ("length", "semantic-similarity"):
        with pytest.raises(RecipeError, match=f"the judge '{name}' is an energy"):
            Judge(name, ModelFinder(sea.PluginHub.discover(plugins=())))


def test_a_reward_model_that_is_asked_for_as_an_energy_is_called_by_its_own_flag() -> None:
    with pytest.raises(RecipeError, match="'sentiment' is a reward model, not an energy") as refused:
        align({"name": "sentiment", "weight": 3.0})
    assert refused.value.hint == "--reward sentiment=3"
