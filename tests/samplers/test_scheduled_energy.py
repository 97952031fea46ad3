"""An energy that moves and then stands still: chains compare old and new texts by the weights of now."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from sea_toolkit.problem.energy import BoundEnergy
from sea_toolkit.problem.weighing import Weight
from sea_toolkit.samplers.best_of_n import BestOfN
from sea_toolkit.samplers.shared.tilt import token_gradients
from sea_toolkit.schedules import Schedule
from sea_toolkit.schedules.piecewise import piecewise
from sea_toolkit.testing.toys import Toy, measure
from tests.helpers import noise_for, problem_for

TOY, BURN, STEPS = Toy(5, 3, reference=0.5), 60, 20
SAMPLERS = [
    {"name": "suffix-mh"},
    {"name": "tilted-exact"},
    {"name": "discrete-langevin", "step_size": 1.0},
]


def jump(start, end):
    """start for a tenth of the run, then end: a chain that compared by old weights would stay where it was."""
    return Schedule("piecewise", partial(piecewise, boundaries=[0.1], values=[start, end]))


def change_pull(problem, change):
    problem.terms[:] = [change(t) if t.label == "pull" else t for t in problem.terms]


def weigh(made, problem):
    change_pull(problem, lambda pull: replace(pull, weight=Weight(jump(-7.0, 1.2))))


def scale(made, problem):
    """An energy with an option that follows a schedule."""

    def scaled(pull):
        energy, factor = pull.bound.energy, jump(-6.0, 1.0)
        bound = BoundEnergy(energy=lambda response: problem.clock.value(factor) * energy(response))
        return replace(pull, bound=bound, is_time_dependent=True)

    change_pull(problem, scaled)


@pytest.mark.parametrize("how", [weigh, scale])
@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: s["name"])
def test_the_chains_follow_the_law_of_the_end(sampler, how):
    taken = []

    def step(made, problem, state, noise):
        problem.clock.step, problem.clock.progress = len(taken), len(taken) / (BURN + STEPS - 1)
        taken.append(None)
        return made.step(problem, state, noise)[0]

    found = measure(TOY, sampler, chains=512, burn=BURN, steps=STEPS, step=step, tamper=how)
    assert found.ess > 2000
    assert found, found


def test_the_gradient_kept_in_a_state_is_weighed_by_the_weights_of_now():
    made, problem = TOY.build({"name": "tilted-exact", "spread": 100.0, "clip": 100.0}, 8)
    weigh(made, problem)
    noise = noise_for(problem)
    state, _ = made.init(problem, noise)
    problem.clock.progress = 0.05
    state, _ = made.step(problem, state, noise)
    before = made.proposal.tilt(problem, state.gradient_state)
    problem.clock.progress = 0.3
    fresh = problem.score_as_text(state.ids, state.log_prob, gradients=True)
    torch.testing.assert_close(problem.total_energy(state.values), fresh.energies.total)
    torch.testing.assert_close(state.gradient_state[0], token_gradients(problem, fresh))
    torch.testing.assert_close(made.proposal.tilt(problem, state.gradient_state), before * 1.2 / -7.0)


def test_best_of_n_keeps_the_best_by_the_weights_of_now():
    """The length counts for nothing at first and for much at the end."""
    ramp = {"schedule": "linear", "start": 0.0, "end": 50.0}
    recipe = {"energies": [{"name": "reference"}, {"name": "length", "target": 1.0, "tolerance": 1.0, "weight": ramp}]}
    problem = problem_for(recipe=recipe, sampler="best-of-n", chains=8)
    sampler, noise = BestOfN(), noise_for(problem)
    state, _ = sampler.init(problem, noise)
    for i in range(6):
        problem.clock.progress = i / 5
        state, info = sampler.step(problem, state, noise)
    kept = problem.score_as_text(state.ids).energies.total
    assert bool((kept <= info.scored.energies.total + 1e-3).all())
