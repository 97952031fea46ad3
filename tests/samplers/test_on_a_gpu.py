"""A GPU gives the answers that the CPU gives: the same random numbers, the same choices, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import sea_toolkit as sea
from sea_toolkit.lm.policy import Policy
from sea_toolkit.runs.result import Result
from sea_toolkit.testing.setting import PROMPTS
from sea_toolkit.testing.tiny import converted, tiny_policy, tiny_reward
from tests.helpers import hub, tiny_probe

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")
SAMPLERS = [item.name for item in hub().items("sampler")]


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("probe") / "mood.safetensors"
    tiny_probe().save(path)
    return str(path)


def policies() -> dict[str, Policy]:
    return {place: converted(tiny_policy(), torch.float64, place) for place in ("cpu", "cuda")}


def answers(results: list[Result]) -> list[tuple[str, Any]]:
    return [(result.response, pytest.approx(result.energy[1], abs=1e-3)) for result in results]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_each_sampler_gives_the_same_answers(sampler: str, probe: str) -> None:
    recipe: dict[str, Any] = {
        "sampler": {"name": sampler, "chains": 2},
        "energies": [{"name": "reference"}, {"name": "reward", "model": probe, "weight": 8.0}],
        "max_new_tokens": 8,
    }
    found = {
        place: answers(sea.align(list(PROMPTS[:2]), recipe=recipe, policy=policy, budget=12.0, batch=2))
        for place, policy in policies().items()
    }
    assert found["cuda"] == found["cpu"]


TERMS: dict[str, dict[str, Any]] = {
    "length": {"target": 4},
    "repetition": {},
    "keywords": {"words": ["the"]},
    "regex": {"pattern": "t"},
    "perplexity": {},
    "finished": {},
    "distance-to-draft": {"text": "the cat"},
}


@pytest.mark.parametrize("term", TERMS)
def test_each_term_gives_the_same_answers(term: str) -> None:
    recipe: dict[str, Any] = {
        "sampler": {"name": "suffix-mh", "chains": 2},
        "energies": [{"name": "reference"}, {"name": term, **TERMS[term], "weight": 4.0}],
        "max_new_tokens": 8,
    }
    found = {
        place: answers(sea.align(list(PROMPTS[:2]), recipe=recipe, policy=policy, budget=12.0, batch=2))
        for place, policy in policies().items()
    }
    assert found["cuda"] == found["cpu"]


def test_limits_scales_and_energies_in_python_give_the_same_answers() -> None:
    found = {}
    for place, policy in policies().items():
        results = sea.align(
            list(PROMPTS[:2]), policy=policy, budget=16.0, chains=2, max_new_tokens=8, sampler="tilted",
            energies={"reward": (4.0, tiny_reward())},
            recipe={"energies": [{"name": "reference"}, {"name": "length", "target": 4, "scale": "base-std"}],
                    "constraints": [{"name": "repetition", "max": 0.5}]},
        )  # fmt: skip
        found[place] = answers(results)
    assert found["cuda"] == found["cpu"]
