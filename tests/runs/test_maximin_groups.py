"""Terms of a maximin group: one weight, spread for each prompt so that the worst objective comes first."""

from __future__ import annotations

import math

import pytest
import torch

import sea_toolkit as sea
from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.compare import compare
from sea_toolkit.evaluation.objectives import wanted_objectives
from sea_toolkit.runs.compose import compose
from tests.helpers import PROMPTS, hub, problem_for, run_for, tiny_policy, warmth

LENGTH = {"name": "length", "target": 3.0, "tolerance": 2.0}
FAIR = {"maximin": "fair"}


def vowels(texts):
    return [float(sum(text.count(letter) for letter in "aeiou")) for text in texts]


def more_vowels(texts):
    return [3.0 * value for value in vowels(texts)]


def no_vowels(texts):
    return [-value for value in vowels(texts)]


def run(other, folder=None, prompts=PROMPTS[:2], weight=0.5, **more):
    terms = {"vowels": ({"weight": weight, **FAIR}, vowels), "other": ({"weight": weight, **FAIR}, other)}
    return run_for(
        folder, energies=terms, prompts=prompts, sampler="best-of-n", chains=3, steps=1,
        recipe={"energies": [{"name": "reference"}]}, **more,
    )  # fmt: skip


def test_objectives_that_are_opposite_share_the_weight_and_an_easy_one_leaves_it_to_the_other():
    for other, shares in ((no_vowels, (0.5, 0.5)), (more_vowels, (1.0, 0.0))):
        # as energies these are lower where there are fewer vowels; the other one gains three times as much, or loses
        results = run(other).execute()
        for result in results:
            found = [result.weights[label] / 0.5 for label in ("vowels", "other")]
            assert found == pytest.approx(shares, abs=0.03)
            assert sum(found) == pytest.approx(1.0)
        assert any("are spread for each prompt" in note for note in results[0].notes)


def test_the_weights_are_those_of_the_best_policy_for_the_worst_objective():
    done = run(len_of, weight=0.4)
    done.execute()
    problem, (first, second) = done.problem, done.problem.terms[1:]
    for p in range(2):
        # under the enumerated tilt of many base answers, the objectives with a weight gain the same
        values = base_values(problem, p)
        gains = (values.mean(0) - values) * 0.4
        shares = torch.tensor([done.weights[p][t.label] / 0.4 for t in (first, second)], dtype=torch.float64)
        tilted = (gains @ shares).softmax(0) @ gains
        worst = min(float(dual(gains, torch.tensor([w, 1 - w], dtype=torch.float64))) for w in torch.linspace(0, 1, 21))
        assert float(dual(gains, shares)) <= worst + 0.1  # sixteen answers tell it to so much
        assert tilted.isfinite().all()


def len_of(texts):
    return [0.3 * abs(len(text) - 12) for text in texts]


def dual(gains, weights):
    return (gains @ weights).logsumexp(0) - math.log(len(gains))


def base_values(problem, p):
    from sea_toolkit.core.noise import Noise
    from sea_toolkit.lm.decoding import decode

    noise = Noise.for_prompts(problem.prompts, 7)
    drawn = decode(problem.policy, problem.prefix, noise.uniform(100, problem.length))
    terms = problem.score_as_text(drawn.ids, drawn.log_prob).energies.terms
    return torch.stack([terms[t.label][p].double() for t in problem.terms[1:]], -1)


def test_a_resumed_run_has_the_weights_that_it_began_with(tmp_path):
    terms = {"vowels": ({"weight": 0.5, **FAIR}, vowels), "other": ({"weight": 0.5, **FAIR}, len_of)}
    settings = {"sampler": "suffix-mh", "chains": 2, "max_new_tokens": 6, "energies": terms}
    first = sea.align(PROMPTS[0], policy=tiny_policy(), hub=hub(), steps=2, out=tmp_path / "run", **settings)
    longer = sea.resume(tmp_path / "run", energies=terms, policy=tiny_policy(), hub=hub(), steps=4)[0]
    whole = sea.align(PROMPTS[0], policy=tiny_policy(), hub=hub(), steps=4, **settings)
    assert first.weights == longer.weights == whole.weights
    assert longer.energy == whole.energy


@pytest.mark.parametrize(
    ("energies", "message"),
    [
        ([LENGTH | FAIR, LENGTH], "'fair' has one term, 'length'"),
        ([LENGTH | FAIR, {"name": "reference"} | FAIR], "holds −log π, 'reference'"),
        ([LENGTH | FAIR, {"name": "diversity"} | FAIR, {"name": "reference"}], "of all chains of a prompt"),
        ([LENGTH | FAIR, LENGTH | FAIR | {"active": [0.5, 1.0]}, {"name": "reference"}], "changes during the run"),
        ([LENGTH | FAIR, LENGTH | FAIR], "no −log π"),
        ([LENGTH | FAIR, LENGTH | FAIR, {"name": "reference", "weight": 0.0}], "no −log π"),
        ([LENGTH | {"maximin": True}], "maximin"),
        ([LENGTH | FAIR | {"want": 0.8}], "has want = 0.8 and maximin = 'fair'"),
    ],
)
def test_groups_without_maximin_weights_are_refused(energies, message):
    with pytest.raises(RecipeError, match=message):
        problem_for(recipe={"energies": energies})


def test_a_sweep_over_weights_refuses_weights_that_a_run_spreads():
    energies = [{"name": "reference"}, LENGTH | FAIR, LENGTH | FAIR]
    composition = compose(sea.Recipe.parse({"energies": energies}), hub())
    with pytest.raises(RecipeError, match="the weight of 'length' is spread by maximin"):
        wanted_objectives(composition, [])


def test_a_comparison_of_runs_needs_one_energy():
    with pytest.raises(RecipeError, match="the maximin weights of 'fair' are measured anew by each run"):
        compare(
            PROMPTS[:1], samplers=["best-of-n"], budgets=[2], policy=tiny_policy(), hub=hub(), max_new_tokens=4,
            energies={"short": LENGTH | FAIR, "warm": ({"weight": 1.0, **FAIR}, warmth)},
        )  # fmt: skip
