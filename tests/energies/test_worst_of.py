"""`worst-of`: the soft minimum of several scaled rewards, with its gradient."""

from __future__ import annotations

import math

import pytest
import torch

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import RecipeError
from sea_toolkit.testing import Setting, check_energy
from sea_toolkit.testing.tiny import EOS
from tests.energies.reward_models import saved_rewards
from tests.helpers import PROMPTS, dense, hub, problem_for, random_ids


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return saved_rewards(tmp_path_factory.mktemp("worst"))


def terms_of(*energies):
    return problem_for(recipe={"energies": list(energies)}, max_new_tokens=6).terms


def relaxed():
    weights = torch.rand(1, 3, 6, 128, generator=torch.Generator().manual_seed(0)).softmax(-1).requires_grad_()
    return weights, SoftResponse.from_weights(weights, None, (EOS,))


@pytest.mark.parametrize("temperature", [0.05, 1.5])
def test_it_is_the_soft_minimum_of_the_scaled_rewards_and_the_worst_has_the_gradient(temperature, folders):
    models = [{"model": folders[0], "offset": 0.3, "scale": 0.5}, {"model": folders[1], "scale": -2.0}]
    term, *alone = terms_of(
        {"name": "worst-of", "models": models, "temperature": temperature},
        *({"name": "reward", "model": folder} for folder in folders[:2]),
    )
    weights, response = relaxed()
    first, second = (-t(response) for t in alone)
    scaled = torch.stack([(first - 0.3) / 0.5, second / -2.0])
    expected = -temperature * (-scaled / temperature).exp().mean(0).log()
    found = -term(response)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    lowest = scaled.min(0).values
    assert (lowest - 1e-5 <= found).all()
    assert (found <= lowest + temperature * math.log(2) + 1e-5).all()
    share = (-scaled / temperature).softmax(0).detach()
    slope = torch.autograd.grad((share * scaled).sum(), weights, retain_graph=True)[0]
    torch.testing.assert_close(torch.autograd.grad(found.sum(), weights)[0], slope, rtol=1e-3, atol=1e-5)
    assert term.is_reward
    assert term.label == "worst-of"


def test_at_temperature_0_it_is_the_minimum_and_a_schedule_may_lead_there(folders):
    schedule = {"schedule": "linear", "start": 2.0, "end": 0.0}
    problem = problem_for(
        recipe={
            "energies": [
                {"name": "worst-of", "models": folders[:2], "temperature": schedule},
                *({"name": "reward", "model": folder} for folder in folders[:2]),
            ]
        },
        max_new_tokens=6,
    )
    soft, *alone = problem.terms
    response = dense(random_ids(1, 2, 6, low=10))
    with torch.no_grad():
        early = soft(response)
        problem.clock.progress = 1.0
        late, worst = soft(response), torch.stack([term(response) for term in alone]).amax(0)
    torch.testing.assert_close(late, worst)
    assert (early < late).all()
    assert problem.is_time_dependent


def test_objectives_that_are_equal_have_their_own_value(folders):
    models = [{"model": folders[0]}, {"model": folders[0], "batch": 3}]  # the same model, read in two ways
    term, alone = terms_of({"name": "worst-of", "models": models}, {"name": "reward", "model": folders[0]})
    _, response = relaxed()
    torch.testing.assert_close(term(response), alone(response), rtol=1e-5, atol=1e-6)


def test_what_cannot_be_compared_is_refused(folders):
    for models, message in (
        ([folders[0]], "models"),
        ([folders[0], {"model": folders[0], "scale": 2.0}], "worst-of has .* twice"),
        ([folders[0], {"model": folders[1], "scale": 0.0}], "scale 0"),
        ([folders[0], {"model": folders[1], "scales": 1.0}], "models"),
    ):
        with pytest.raises(RecipeError, match=message):
            terms_of({"name": "worst-of", "models": models})


def test_the_conformance_kit_finds_nothing_wrong(folders):
    held = check_energy("worst-of", Setting(hub=hub(), prompts=PROMPTS[:2], chains=2, length=4), models=folders[:2])
    assert {"gradient", "one-hot = text", "padding"} <= set(held)
