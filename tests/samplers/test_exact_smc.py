"""`smc` keeps exp(−β E) with any number of particles while its direction stands still: against the enumerated law."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sea_toolkit.samplers import smc as smc_module
from sea_toolkit.samplers.shared import particles as particles_module
from sea_toolkit.samplers.shared.particles import Particles
from sea_toolkit.samplers.shared.resampling import normalized
from sea_toolkit.samplers.smc import Smc
from sea_toolkit.testing.toys import Toy, measure

TOY = Toy(5, 3, reference=0.5)
TILTED = {"strength": 10.0, "spread": 0.7}


def found(toy=TOY, beta=1.0, chains=500, steps=6, **options):
    """Chains of few particles. Two passes find a direction and a surrogate, which then stay."""
    learned = {}

    def step(made, problem, state, noise):
        new = made.step(problem, state, noise)[0]
        if new.passes == 2:
            learned.update(gradient_state=new.gradient_state, met=new.met)
        return replace(new, **learned)

    settings = {"name": "smc", "chunk": 1, "particles": 3, "inverse_temperature": beta, **TILTED, **options}
    return measure(toy, settings, beta=beta, chains=chains, steps=steps, burn=7, step=step)


@pytest.mark.parametrize(
    ("toy", "options"),
    [
        (TOY, {}),
        (TOY, {"twist": 2.0, "ess": 0.95}),
        (Toy(6, 2), {"beta": 2.0, "ess": 0.9}),
        (Toy(4, 4), {"chunk": 3, "ess": 0.9, "temperature": 1.3, "spread": 0.5}),
        (TOY, {"value": "surrogate", "ess": 0.9}),
    ],
)
def test_three_particles_beside_the_kept_text_are_enough(toy, options):
    distance = found(toy, **options)
    assert distance.ess > 800
    assert distance, distance


def wrong_account(factor):
    return staticmethod(
        lambda few, pressure, counted: torch.where(few[..., None], counted + factor * pressure, counted)
    )


MUTANTS = {
    "resampling is not accounted for": (Particles, "account", wrong_account(0.0)),
    "resampling is accounted for twice": (Particles, "account", wrong_account(2.0)),
    "weights flattened": (smc_module, "normalized", lambda w: normalized(0.5 * w)),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutants_are_red(mutant, monkeypatch):
    monkeypatch.setattr(*MUTANTS[mutant])
    distance = found(ess=0.9, twist=2.0)
    assert distance.tv > 1.5 * distance.allowed, distance


def test_the_tilt_out_of_the_weights_is_red(monkeypatch):
    plain = particles_module.decode

    def as_policy(*args, **options):
        drawn = plain(*args, **options)
        return replace(drawn, log_proposal=drawn.log_prob)

    monkeypatch.setattr(particles_module, "decode", as_policy)
    monkeypatch.setattr(
        smc_module, "log_proposal", lambda problem, ids, *rest: problem.policy.log_prob(problem.prefix, ids)
    )
    distance = found(spread=1.2)
    assert distance.tv > 1.5 * distance.allowed, distance


def test_a_kept_text_weighed_as_if_the_policy_had_drawn_it_is_red(monkeypatch):
    plain = Smc._kept

    def as_policy(self, problem, state, temperature):
        path = plain(self, problem, state, temperature)
        return replace(path, text=path.text._replace(log_proposal=path.text.log_prob))

    monkeypatch.setattr(Smc, "_kept", as_policy)
    distance = found(spread=1.2)
    assert distance.tv > 1.5 * distance.allowed, distance


def test_a_kept_text_that_is_no_ancestor_is_red(monkeypatch):
    """The others are resampled among themselves, as if nothing were kept."""
    plain = particles_module.conditional_systematic

    def without_the_first(weights, turns):
        others = weights.index_fill(-1, torch.tensor(0), 0.0) + 1e-300
        return plain(others / others.sum(-1, keepdim=True), turns)

    monkeypatch.setattr(particles_module, "conditional_systematic", without_the_first)
    distance = found(ess=0.95, twist=3.0, particles=2, steps=12)
    assert distance.tv > 1.5 * distance.allowed, distance
