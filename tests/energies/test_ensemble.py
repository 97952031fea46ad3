"""Several reward models: their mean less k standard deviations, with its gradient."""

from __future__ import annotations

import pytest
import torch

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.compare import compare
from sea_toolkit.testing import Setting, check_energy
from sea_toolkit.testing.tiny import EOS
from tests.energies.reward_models import saved_rewards
from tests.helpers import dense, hub, problem_for, random_ids, tiny_policy


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return saved_rewards(tmp_path_factory.mktemp("ensemble"))


def terms_of(*energies):
    return problem_for(recipe={"energies": list(energies)}, max_new_tokens=6).terms


def test_it_is_the_mean_less_k_standard_deviations_with_its_gradient(folders):
    third = {"model": folders[2], "output": 1, "reads": "response"}
    ensemble, *alone = terms_of(
        {"name": "ensemble", "models": [*folders[:2], third], "k": 0.7},
        *({"name": "reward", **(m if isinstance(m, dict) else {"model": m})} for m in [*folders[:2], third]),
    )
    weights = torch.rand(1, 3, 6, 128, generator=torch.Generator().manual_seed(0)).softmax(-1).requires_grad_()
    response = SoftResponse.from_weights(weights, None, (EOS,))
    rewards = -torch.stack([term(response) for term in alone])
    expected = rewards.mean(0) - 0.7 * rewards.std(0, correction=0)
    slope = torch.autograd.grad(expected.sum(), weights)[0]
    found = -ensemble(response)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(torch.autograd.grad(found.sum(), weights)[0], slope, rtol=1e-4, atol=1e-6)
    assert ensemble.is_reward
    assert ensemble.label == "ensemble"


def test_models_that_agree_have_the_gradient_of_the_mean(folders):
    models = [folders[0], {"model": folders[0], "batch": 3}]  # the same model, read in two ways
    (ensemble,) = terms_of({"name": "ensemble", "models": models})
    (alone,) = terms_of({"name": "reward", "model": folders[0]})
    ids = random_ids(1, 2, 6, low=10)
    slopes = []
    for term in (ensemble, alone):
        weights = torch.nn.functional.one_hot(ids, 128).float().requires_grad_()
        value = term(SoftResponse.from_weights(weights, None, (EOS,)))
        slopes.append(torch.autograd.grad(value.sum(), weights)[0])
    assert slopes[0].isfinite().all()
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-3, atol=1e-5)


def test_a_schedule_may_move_k(folders):
    problem = problem_for(
        recipe={
            "energies": [
                {"name": "ensemble", "models": folders[:2], "k": {"schedule": "linear", "start": 0.0, "end": 2.0}}
            ]
        },
        max_new_tokens=6,
    )
    response = dense(random_ids(1, 2, 6, low=10))
    with torch.no_grad():
        early = problem.terms[0](response)
        problem.clock.progress = 1.0
        late = problem.terms[0](response)
    assert (late > early).all()
    assert problem.is_time_dependent


def test_what_is_no_ensemble_is_refused(folders):
    for models, message in (
        ([folders[0]], "models"),
        ([folders[0], folders[0]], "twice"),
        ([folders[0], {"model": folders[1], "outputs": 1}], r"expected: list\[str \| table of"),
        ([folders[0], {"output": 1}], "model"),
        ([folders[0], folders[2]], "2 outputs"),
    ):
        with pytest.raises(RecipeError, match=message):
            terms_of({"name": "ensemble", "models": models})


def test_a_judge_must_be_no_member(folders):
    with pytest.raises(RecipeError, match="is in the energy, as 'ensemble'"):
        compare(
            ["a dog"], samplers=["best-of-n"], budgets=[4], policy=tiny_policy(), hub=hub(), max_new_tokens=4,
            judges=[{"model": folders[1]}], energies={"ensemble": {"models": folders[:2]}},
        )  # fmt: skip


def test_the_conformance_kit_finds_nothing_wrong(folders):
    held = check_energy("ensemble", Setting(hub=hub(), chains=2, length=5), models=folders[:2])
    assert {"gradient", "one-hot = text", "padding"} <= set(held)
