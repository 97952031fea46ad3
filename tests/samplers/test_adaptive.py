"""The schedule `adaptive` in samplers: the acceptance reaches its target, and once frozen the law is the sampler's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sea_toolkit.runs.adaptive_schedules import AdaptiveSchedules
from sea_toolkit.samplers.mala import Mala
from sea_toolkit.samplers.psgld import Psgld
from sea_toolkit.samplers.psgld import State as PsgldState
from sea_toolkit.schedules.adaptive import Adaptive
from sea_toolkit.schedules.reactive import ReactiveSchedule
from sea_toolkit.testing.toys import Toy, distance, index_of, law_of, measure
from tests.helpers import noise_for
from tests.samplers import test_exact_smooth as smooth

bowl = smooth.problem  # the fixture
WARMUP, BURN, KEPT = 60, 60, 150


def adaptive(**options):
    return ReactiveSchedule("adaptive", Adaptive(**options))


class Fed:
    """Steps of a sampler with the clock and the schedules that a run would move."""

    def __init__(self, steps, metric="acceptance", **schedules):
        self.metric = metric
        self.steps, self.reactions, self.at, self.rates, self.numbers = steps, AdaptiveSchedules(schedules), 0, [], []

    def __call__(self, sampler, problem, state, noise):
        clock = problem.clock
        clock.step, clock.progress = self.at, self.at / (self.steps - 1)
        self.numbers.append(next(iter(self.reactions.values(clock).values())))
        state, info = sampler.step(problem, state, noise)
        self.reactions.tell(clock, info.metrics, problem.stopped, [])
        self.rates.append(float(info.metrics[self.metric].mean()))
        self.at += 1
        return state


@pytest.mark.parametrize("start", [0.003, 8.0])
def test_mala_reaches_the_target_and_then_has_its_law(bowl, start):
    steps = WARMUP + BURN + KEPT
    schedule = adaptive(start=start, target=0.7, warmup=WARMUP / steps)
    sampler = Mala(step_size=schedule, temperature=smooth.TEMPERATURE, prior_width=smooth.WIDTH, check_every=10_000)
    z, center = smooth.start()
    noise, step, kept = noise_for(bowl, 1), Fed(steps, step_size=schedule), []
    state = sampler.at(bowl, z, None, center, noise)
    for i in range(steps):
        state = step(sampler, bowl, state, noise)
        if i >= WARMUP + BURN and i % 3 == 0:
            kept.append(state.logits[0, :, 0, : smooth.D].double())
    rates = torch.tensor(step.rates[WARMUP + BURN :])
    assert float(rates.mean()) == pytest.approx(0.7, abs=0.05)
    assert abs(step.rates[0] - 0.7) > 0.25, "far away at the start"
    assert len(set(step.numbers[WARMUP:])) == 1, "frozen"
    assert len(set(step.numbers[:WARMUP])) > WARMUP / 2
    covariance = smooth.TEMPERATURE * torch.linalg.inv(smooth.HESSIAN)
    assert smooth.misfit(torch.stack(kept), covariance) < smooth.LIMIT


@pytest.mark.parametrize("start", [0.01, 30.0])
def test_psgld_reaches_the_step_size_of_its_target(bowl, start):
    steps = WARMUP + BURN
    schedule = adaptive(start=start, target=0.9, warmup=WARMUP / steps, metric="would_accept")
    # the preconditioner held still, so that one step size has one acceptance
    sampler = Psgld(**smooth.PSGLD | {"step_size": schedule}, decay=1.0)
    z, center = smooth.start()
    square = torch.ones_like(z)
    square[..., : smooth.D] = smooth.SQUARE.float()
    noise, step = noise_for(bowl, 1), Fed(steps, "would_accept", step_size=schedule)
    state = PsgldState(z, None, center, square)
    for _ in range(steps):
        state = step(sampler, bowl, state, noise)
    assert float(torch.tensor(step.rates[WARMUP + 10 :]).mean()) == pytest.approx(0.9, abs=0.04)
    assert abs(step.rates[1] - 0.9) > 0.09, "far away at the start"
    assert len(set(step.numbers[WARMUP:])) == 1


@pytest.mark.parametrize(
    ("sampler", "option", "start", "target"),
    [
        ({"name": "tilted-exact", "spread": 50.0, "clip": 50.0}, "strength", 20.0, 0.5),
        ({"name": "discrete-langevin"}, "step_size", 0.1, 0.6),
    ],
)
def test_the_chains_follow_the_law_once_it_is_frozen(sampler, option, start, target):
    toy, burn, steps = Toy(5, 3, reference=0.5), 80, 40
    schedule = adaptive(start=start, target=target, warmup=50 / (burn + steps))
    step = Fed(burn + steps, number=schedule)

    def use(made, problem):
        if option == "strength":
            made.proposal = replace(made.proposal, strength=schedule)
        else:
            setattr(made, option, schedule)

    found = measure(toy, sampler, chains=512, burn=burn, steps=steps, step=step, tamper=use)
    assert sum(step.rates[60:]) / 60 == pytest.approx(target, abs=0.06)
    assert abs(step.rates[0] - target) > 0.1
    assert found, found


def test_an_inverse_temperature_is_frozen_too_and_says_which_law_it_is():
    toy, burn, steps, chains = Toy(5, 3, reference=0.5), 80, 40, 1024
    schedule = adaptive(start=1.0, target=0.45, warmup=50 / (burn + steps))
    step = Fed(burn + steps, number=schedule)
    made, problem = toy.build("suffix-mh", chains)
    made.inverse_temperature = schedule
    noise = noise_for(problem)
    state, _ = made.init(problem, noise)
    visits = torch.zeros(chains, len(toy.responses), dtype=torch.float64)
    for i in range(burn + steps):
        state = step(made, problem, state, noise)
        if i >= burn:
            visits[torch.arange(chains), index_of(toy, made.current(problem, state)[0])] += 1.0 / steps
    beta = schedule.at(1.0, 0)
    assert abs(beta - 1.0) > 0.3
    assert distance(visits, law_of(toy, beta)), beta
    assert not distance(visits, law_of(toy, 1.0))
