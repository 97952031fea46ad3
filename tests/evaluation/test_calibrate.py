"""`calibrate`: numbers that lead a run where they say, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from sea_toolkit.api import align
from sea_toolkit.core.noise import Noise
from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.calibrate import Calibration, calibrate
from sea_toolkit.lm.decoding import decode
from sea_toolkit.problem.base_scale import base_scale
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.testing.tiny import tiny_policy, tiny_reward
from sea_toolkit.testing.toys import PULL, Toy, energies_of, policy
from tests.helpers import hub

PROMPTS = ["the rain", "a town", "the sea and", "in the morning"]
REFERENCE = {"name": "reference"}
LENGTH = {"name": "length", "target": 5}


def vowels(texts: Sequence[str]) -> list[float]:
    return [sum(c in "aeiou" for c in text) for text in texts]


def consonants(texts: Sequence[str]) -> list[float]:
    return [-v for v in vowels(texts)]


def found(energies: Sequence[dict[str, Any]] = (), own: Any = None, **settings: Any) -> Calibration:
    recipe = {"energies": [REFERENCE, *energies], "max_new_tokens": 10}
    settings = {"recipe": recipe, "samples": 24, "policy": tiny_policy(), "hub": hub()} | settings
    return calibrate(settings.pop("prompts", PROMPTS), reward=own, **settings)


def test_the_scale_is_the_deviation_of_the_policys_own_answers() -> None:
    """Drawn and scored again here, all prompts together, without the toolkit's terms."""
    calibration = found([LENGTH | {"scale": "base-std"}], {"vowels": ({"scale": "base-std"}, vowels)})
    p = tiny_policy()
    noise = Noise.for_prompts(PROMPTS, 0)
    ids = decode(p, p.prefix(p.encode(PROMPTS, 10)), noise.uniform(24, 10)).ids
    counts = torch.tensor([vowels(texts) for texts in p.text(ids)], dtype=torch.float32)
    assert calibration.table is not None
    numbers = calibration.table.terms
    assert numbers["vowels"].deviation == pytest.approx(base_scale(counts).deviation, rel=1e-5)
    reference, length, reward = calibration.terms
    assert (reward.is_reward, reward.mean) == (True, pytest.approx(float(counts.mean())))
    assert reward.between == pytest.approx(float(counts.mean(-1).std()))
    assert reward.quantiles[0.5] == pytest.approx(float(counts.flatten().quantile(0.5)))
    assert (length.label, length.scale) == ("length", numbers["length"].deviation)
    shares = [t.weight / t.scale * t.deviation for t in (reference, length, reward)]
    assert [t.share for t in calibration.terms] == pytest.approx([s / sum(shares) for s in shares])
    assert calibration.table.model_dump(include={"policy", "prompts", "samples", "seed"}) == {
        "policy": "tiny-llama", "prompts": 4, "samples": 24, "seed": 0,
    }  # fmt: skip
    again = found(
        [LENGTH | {"scale": "base-std"}],
        {"vowels": ({"scale": "base-std"}, lambda texts: [7 * v for v in vowels(texts)])},
    )
    assert again.table is not None
    assert again.table.terms["vowels"].deviation == pytest.approx(7 * numbers["vowels"].deviation, rel=1e-5)


def test_the_law_of_the_energy_has_the_wanted_mean() -> None:
    """In a toy language all answers can be written down: under π · exp(w · reward) their mean is the quantile."""
    toy = Toy(4, 4, text_term=False)
    cost = {"pull": ({"want": 0.75}, tiny_reward())}
    settings: dict[str, Any] = {"policy": policy(4), "hub": hub(), "samples": 2000, "recipe": {"max_new_tokens": 4}}
    calibration = calibrate(["ab"], energies=cost, **settings)
    (term,) = (t for t in calibration.terms if t.label == "pull")
    energies = energies_of(toy)  # −log π + 1.2 · cost
    costs = torch.tensor([PULL(policy(4).table).of([i for i in r if i != 0]) for r in toy.responses]).double()
    log_pi = -(energies - 1.2 * costs)
    order = (-costs).argsort()
    probability = log_pi.exp()[order].cumsum(0) / log_pi.exp().sum()
    target = float((-costs)[order][int((probability < 0.75).sum())])
    tilted = (log_pi - term.weight / term.scale * costs).softmax(-1)
    reached, spread = float(-(tilted * costs).sum()), math.sqrt(float((log_pi.softmax(-1) * costs**2).sum()))
    assert reached == pytest.approx(target, abs=0.1 * spread)
    run = align(
        "ab", recipe=calibration.recipe, energies=cost, policy=policy(4), hub=hub(), sampler="best-of-n", steps=1
    )
    assert run.weights["pull"] == pytest.approx(term.weight / term.scale)


def test_targets_are_found_beside_the_weights_that_the_recipe_gives() -> None:
    """The same reward twice, once with a weight: the rest is what the target still lacks."""
    alone = found(own={"vowels": ({"want": 0.8}, vowels)}, samples=32)
    beside = found(
        own={"vowels": ({"want": 0.8}, vowels), "again": ({"weight": 0.3, "scale": "base-std"}, vowels)}, samples=32
    )
    (whole,), rest = ([t.weight for t in c.terms if t.label == "vowels"] for c in (alone, beside))
    assert rest == pytest.approx([whole - 0.3], abs=1e-3)
    enough = found(own={"vowels": ({"want": 0.55}, vowels), "again": ({"weight": 1.0, "scale": "base-std"}, vowels)})
    assert [t.weight for t in enough.terms if t.label == "vowels"] == [0.0]
    assert enough.notes == ["vowels reaches want = 0.55 without a weight: its weight is 0"]


def test_batches_and_limits_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"vowels": ({"want": 0.7}, vowels)}
    together = found(own=own)
    monkeypatch.setattr("sea_toolkit.evaluation.base_answers.TOGETHER", 48)
    recipe = {"energies": [REFERENCE], "constraints": [LENGTH | {"max": 3.0}], "max_new_tokens": 10}
    apart = found(own=own, recipe=recipe)
    assert apart.table == together.table
    calls: list[tuple[int, int, str]] = []
    found(own=own, progress=lambda done, total, what: calls.append((done, total, what)))
    assert calls == [(2, 4, "drawing base answers"), (4, 4, "drawing base answers")]


def test_a_calibrated_recipe_can_be_calibrated_again_and_parsed_again() -> None:
    first = found([LENGTH | {"want": 0.7}], samples=16)
    again = found(recipe=first.recipe, samples=24)
    assert again.table != first.table
    assert Recipe.parse(again.recipe.model_dump(exclude_none=True)) == again.recipe
    assert again.to_dict()["calibration"]["samples"] == 24
    assert found([LENGTH]).table is None


@pytest.mark.parametrize(
    ("own", "settings", "said"),
    [
        ({"one": ({"scale": "base-std"}, lambda texts: [2.0] * len(texts))}, {}, "'one' has one value for all answers"),
        ({"one": ({"want": 0.7}, lambda texts: [2.0] * len(texts))}, {}, "'one' has one value for all answers"),
        (
            {"vowels": ({"want": 0.99}, vowels)},
            {"samples": 8},
            r"vowels: want = 0\.99 is beyond what 8 answers per prompt show\nexpected: at most want = 0\.\d\d\n.* 32",
        ),
        (
            {"vowels": ({"want": 0.8}, vowels), "consonants": ({"want": 0.8}, consonants)},
            {},
            r"contradict each other.*answers: vowels and consonants -1\.00\)\nexpected: for example vowels",
        ),
        (
            {"vowels": ({"want": 0.7}, vowels), "much": (50.0, consonants)},
            {},
            r"under the weights that the recipe gives, \d\.\d of 24 answers per prompt count",
        ),
        ({"vowels": ({"want": 0.7}, vowels)}, {"samples": 1}, "samples = 1"),
        ({"vowels": ({"want": 0.7}, vowels)}, {"seed": -1}, "seed = -1"),
        ({"vowels": ({"want": 0.7}, vowels)}, {"prompts": []}, "no prompts"),
    ],
)  # fmt: skip
def test_what_no_number_can_be_found_for_is_said(own: Any, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        found(own=own, **settings)


def test_a_target_needs_the_reference() -> None:
    with pytest.raises(RecipeError, match="'length' has a target, and the energy has no reference"):
        found(recipe={"energies": [LENGTH | {"want": 0.7}]})
    group = [LENGTH | {"maximin": "all"}, {"name": "repetition", "maximin": "all"}]
    with pytest.raises(RecipeError, match="'vowels' has a target, and the maximin group 'all' has weights"):
        found(group, own={"vowels": ({"want": 0.7}, vowels)})
    joint = [REFERENCE, {"name": "diversity", "scale": "base-std"}]
    with pytest.raises(RecipeError, match="'diversity' is of all chains of a prompt"):
        found(recipe={"energies": joint, "sampler": {"name": "sea"}})
