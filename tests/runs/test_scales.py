"""Weights on a common scale in a run: what a term is divided by, where that comes from, and what is kept of it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from sea_toolkit.api import align, resume
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.compare import compare
from sea_toolkit.problem.base_scale import base_scale
from sea_toolkit.runs.calibration_table import CalibratedTerm, CalibrationTable
from sea_toolkit.runs.compose import compose
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.runs.result import Result
from tests.helpers import hub, run_for, tiny_policy, warmth

PROMPTS = ["the rain", "a town"]
LENGTH = {"name": "length", "target": 5}


def longer(response: SoftResponse) -> torch.Tensor:
    return warmth(response) * 1024.0


def thousandfold(response: SoftResponse) -> torch.Tensor:
    return warmth(response) * 1000.0


def same(response: SoftResponse) -> torch.Tensor:
    return 0.0 * response.expected_length() + 3.0


def run(energy: Any = warmth, weight: Any = None, prompts: Any = PROMPTS, **settings: Any) -> list[Result]:
    """A run of `reference` and one energy in units of its scale."""
    weight = {"weight": 3.0, "scale": "base-std"} if weight is None else weight
    settings = {"sampler": "best-of-n", "chains": 8, "steps": 2, "max_new_tokens": 8} | settings
    return align(prompts, energies={"warmth": (weight, energy)}, policy=tiny_policy(), hub=hub(), **settings)


def measured(results: list[Result]) -> str:
    """The note on measured scales, which all results share."""
    (note,) = {n for r in results for n in r.notes if n.startswith("scales measured")}
    return note


@pytest.mark.parametrize("sampler", ["tilted", "smc"])
def test_a_reward_in_another_unit_gives_the_same_answers(sampler: str) -> None:
    """A power of two changes no digit."""
    plain, large = (run(e, sampler=sampler, chains=2, steps=1) for e in (warmth, longer))
    for a, b in zip(plain, large, strict=True):
        assert [x.text for x in a.candidates] == [x.text for x in b.candidates]
        assert [x.energy for x in a.candidates] == [x.energy for x in b.candidates]
        assert (b.scales["warmth"], b.weights["warmth"]) == (1024 * a.scales["warmth"], a.weights["warmth"] / 1024)


def test_the_first_answers_are_measured_where_they_are_the_policys_own() -> None:
    weight = {"weight": 3.0, "scale": "base-std"}
    done = run_for(energies={"warmth": (weight, warmth)}, sampler="best-of-n", chains=8, steps=1)
    results = done.execute()
    first = torch.tensor([[c.terms["warmth"] for c in archive.starts] for archive in done.archives])
    scale = results[0].scales["warmth"]
    assert scale == pytest.approx(base_scale(first).deviation, rel=1e-5)
    assert results[0].weights["warmth"] == 3.0 / scale
    assert "scales measured on 16 base answers of this run, to ± 19%: warmth" in measured(results)
    assert "sea-toolkit calibrate" in measured(results)
    decimal = run(thousandfold, sampler="best-of-n", chains=8, steps=1, max_new_tokens=10, prompts=done.problem.prompts)
    assert [r.response for r in decimal] == [r.response for r in results]
    assert decimal[0].scales["warmth"] == pytest.approx(1000 * scale)


@pytest.mark.parametrize(
    ("settings", "answers"),
    [
        ({"initializer": {"name": "base-samples", "temperature": 0.5}}, 14),
        ({"chains": 5}, 14),
        ({"initializer": "greedy", "chains": 1, "sampler": "args"}, 14),
    ],
    ids=["sharpened", "few chains", "greedy"],
)
def test_where_the_first_answers_are_others_or_too_few_base_answers_are_drawn_and_counted(
    settings: dict[str, Any], answers: int
) -> None:
    results = run(**settings, steps=1)
    assert f"measured on {answers} base answers" in measured(results)
    plain = run(weight=3.0, **settings, steps=1)
    own = len(PROMPTS) * settings["chains"] if set(settings) == {"chains"} else 0
    more = results[0].ledger["samples_per_prompt"] - plain[0].ledger["samples_per_prompt"]
    assert 0.4 < more / ((answers - own) / len(PROMPTS)) < 2.0  # by how they end, and how they are read
    assert results[0].met == plain[0].met  # they are no candidates


@pytest.mark.parametrize(
    ("settings", "answers"), [({"chains": 4, "budget": 12}, 7), ({"draft": "rain", "chains": 2, "budget": 6}, 4)]
)
def test_a_part_of_the_budget_at_most_goes_into_a_scale(settings: dict[str, Any], answers: int) -> None:
    """A quarter of it, or four answers to a prompt."""
    assert f"measured on {answers} base answers" in measured(run(prompts=["the rain"], steps=None, **settings))


def test_a_number_as_scale_divides_and_a_schedule_stays_one() -> None:
    halved, plain = run(weight={"weight": 3.0, "scale": 2.0}), run(weight=1.5)
    assert [r.response for r in halved] == [r.response for r in plain]
    assert (halved[0].weights["warmth"], halved[0].scales, plain[0].scales) == (1.5, {"warmth": 2.0}, {})
    ramp = {"schedule": "linear", "start": 0.0, "end": 3.0}
    result = run(weight={"weight": ramp, "scale": 2.0})[0]
    assert result.weights["warmth"] == 1.5


def test_all_batches_of_a_call_share_the_scale_of_the_first() -> None:
    results = run(prompts=[*PROMPTS, "in the morning", "an end"], batch=2)
    assert len({r.scales["warmth"] for r in results}) == 1


def test_a_term_that_is_the_same_for_all_answers_has_no_scale() -> None:
    with pytest.raises(RecipeError, match="'warmth' has one value for all answers to a prompt"):
        run(same)


def test_what_was_measured_is_kept_by_the_folder_and_by_a_resumed_run(tmp_path: Path) -> None:
    weight = {"weight": 3.0, "scale": "base-std"}
    settings: dict[str, Any] = {"sampler": "suffix-mh", "steps": 6, "energies": {"warmth": (weight, warmth)}}
    whole = run_for(**settings).execute()
    from sea_toolkit.runs.folder import SavedRun

    halfway = run_for(tmp_path, stop_after=3, **settings)
    SavedRun(halfway.composition.recipe, halfway.problem.prompts, {"warmth": weight}, 3).write(tmp_path)
    halfway.execute()
    scale = {"warmth": whole[0].scales["warmth"]}
    lines = [json.loads(line) for line in (tmp_path / "trace.jsonl").read_text().splitlines()]
    assert lines[0]["scales"] == scale
    assert not any("scales" in line for line in lines[1:])
    assert json.loads((tmp_path / "manifest.json").read_text())["scales"] == scale
    again = resume(tmp_path, energies={"warmth": (weight, warmth)}, policy=tiny_policy(), hub=hub())
    assert [r.candidates for r in again] == [r.candidates for r in whole]
    assert (again[0].scales, again[0].weights) == (whole[0].scales, whole[0].weights)
    assert Result.from_data(again[0].to_data()).scales == scale
    assert measured(again) == measured(whole)


def calibrated(**more: Any) -> dict[str, Any]:
    """A recipe with numbers for `length`."""
    table = CalibrationTable(
        policy="tiny-llama", max_new_tokens=8, prompts=4, samples=8, seed=0, version="0", others=None,
        terms={"length": CalibratedTerm(term=_digest(LENGTH), deviation=0.5)},
    )  # fmt: skip
    term = LENGTH | {"scale": "base-std", "weight": 3.0}
    return {
        "energies": [{"name": "reference"}, term],
        "calibration": table.model_dump(exclude_none=True),
        "max_new_tokens": 8,
        "sampler": {"name": "best-of-n", "chains": 4, "steps": 1},
    } | more


def _digest(term: dict[str, Any]) -> str:
    return compose(Recipe.parse({"energies": [{"name": "reference"}, term]}), hub()).parts[1].measure.term


def of_recipe(recipe: dict[str, Any]) -> Result:
    return align(PROMPTS, recipe=recipe, policy=tiny_policy(), hub=hub())[0]


def test_numbers_of_the_recipe_are_used_and_nothing_is_measured() -> None:
    result = of_recipe(calibrated())
    assert (result.scales, result.weights["length"]) == ({"length": 0.5}, 6.0)
    assert not any("measured" in note or "calibrated" in note for note in result.notes)


def test_a_target_gets_its_weight_in_any_unit() -> None:
    recipe = calibrated()
    recipe["calibration"]["terms"]["length"] |= {"want": 0.8, "weight": 1.5}
    recipe["calibration"]["others"] = _others(recipe)
    for scale, divided in ((None, 0.5), ("base-std", 0.5), (4.0, 4.0)):
        recipe["energies"][1] = LENGTH | {"want": 0.8} | ({} if scale is None else {"scale": scale})
        composition = compose(Recipe.parse(recipe), hub())
        weight = composition.parts[1].weight
        assert (weight.scale, weight.fixed) == (divided, pytest.approx(3.0 * divided))
        assert not composition.notes(tiny_policy())
    recipe["energies"][0] = {"name": "reference", "weight": 2.0}
    assert "the weights of other terms have changed since targets were calibrated, and may miss them now" in (
        of_recipe(recipe).notes
    )


def _others(recipe: dict[str, Any]) -> str:
    from sea_toolkit.runs.measures import others_of

    plain = recipe | {"energies": [{"name": "reference"}, LENGTH | {"want": 0.8}]}
    return others_of(compose(Recipe.parse(plain), hub()).parts)


def test_what_differs_from_the_calibration_is_said() -> None:
    recipe = calibrated(max_new_tokens=6)
    recipe["calibration"]["policy"] = "another"
    notes = of_recipe(recipe).notes
    assert "the numbers of length were calibrated on answers of another, and this is tiny-llama" in notes
    assert any("of at most 8 tokens, and these have at most 6" in note for note in notes)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"want": 1.0}, r"energies\[1\]\.want is 1\.0"),
        ({"want": "0.8"}, r"energies\[1\]\.want is '0\.8'"),
        ({"want": True}, r"energies\[1\]\.want is True"),
        ({"want": 0.8, "weight": 2.0}, r"energies\[1\] has a weight and want = 0\.8"),
        ({"scale": 0}, r"energies\[1\]\.scale is 0"),
        ({"scale": -1.0}, r"energies\[1\]\.scale is -1\.0"),
        ({"scale": "base"}, r"energies\[1\]\.scale is 'base'\nexpected: a number above 0, or \"base-std\""),
        ({"want": 0.8}, r"'length' has want = 0\.8, and no weight has been found.*\n.*\n.*sea-toolkit calibrate"),
        ({"scale": "base-std", "target": 6}, r"'length' has other options than when the recipe was calibrated"),
        ({"name": "diversity", "target": None, "scale": "base-std"}, "'diversity' is of all chains of a prompt"),
    ],
)
def test_a_wrong_scale_or_target_is_an_error_before_anything_is_loaded(changed: dict[str, Any], said: str) -> None:
    recipe = calibrated()
    term = {k: v for k, v in (LENGTH | changed).items() if v is not None}
    recipe["energies"][1] = term
    with pytest.raises(RecipeError, match=said):
        compose(Recipe.parse(recipe), hub())


def test_a_target_that_was_changed_is_not_the_one_that_was_calibrated() -> None:
    recipe = calibrated()
    recipe["calibration"]["terms"]["length"] |= {"want": 0.8, "weight": 1.5}
    recipe["energies"][1] = LENGTH | {"want": 0.9}
    with pytest.raises(RecipeError, match=r"want = 0\.9, and the recipe was calibrated for 0\.8"):
        of_recipe(recipe)


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        ({"weight": "x"}, "the weight of 'warmth': weight is 'x'"),
        ({"active": [0.0, 2.0]}, "the weight of 'warmth': active is"),
        ({"scale": math.inf}, r"energy 'warmth'\.scale is inf"),
        ({"want": 0.8}, "'warmth' has want = 0.8"),
        ({"scales": 1.0}, "the weight of energies"),
    ],
)
def test_a_wrong_table_beside_a_function_is_named(weight: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        run(weight=weight)


def test_compare_refuses_scales_that_each_run_would_measure_anew() -> None:
    recipe = {"energies": [{"name": "reference"}, LENGTH | {"scale": "base-std"}]}
    with pytest.raises(RecipeError, match="'length' has scale = \"base-std\", which each run measures anew"):
        compare(PROMPTS, samplers=["best-of-n"], budgets=[4], recipe=recipe, policy=tiny_policy(), hub=hub())
