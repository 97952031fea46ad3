"""`sea` on a quadratic energy: mean and covariance of the discretized chain in closed form; mutants miss them."""

from __future__ import annotations

import pytest
import torch

import sea_toolkit as sea
from sea_toolkit.lm.policy import Policy
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.samplers import sea as module
from sea_toolkit.samplers.sea import Sea, State, langevin
from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from tests.helpers import noise_for, problem_for

D, CHAINS, SNAPSHOTS, EVERY, BURN_IN = 3, 500, 12, 20, 80
STEP, TEMPERATURE = 0.3, 0.6
A = torch.tensor([[2.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 0.7]], dtype=torch.float64)
MEAN = torch.tensor([1.5, -2.0, 0.5], dtype=torch.float64)


def stationary_covariance():
    """Σ = (I − ηA) Σ (I − ηA)ᵀ + 2ητ I, which is not that of exp(−E/τ), τA⁻¹."""
    m = torch.eye(D, dtype=torch.float64) - STEP * A
    left = torch.eye(D * D, dtype=torch.float64) - torch.kron(m, m)
    return torch.linalg.solve(left, 2 * STEP * TEMPERATURE * torch.eye(D, dtype=torch.float64).flatten()).view(D, D)


def misfit(samples):
    """Largest deviation of mean and covariance from the closed form, in standard errors."""
    slowest = float((1 - STEP * torch.linalg.eigvalsh(A)).abs().max()) ** EVERY
    size = samples.shape[0] * (1 - slowest) / (1 + slowest)
    sigma = stationary_covariance()
    mean_error = (samples.mean(0) - MEAN).abs() / (sigma.diagonal() / size).sqrt()
    spread = ((sigma.diagonal()[:, None] * sigma.diagonal() + sigma**2) / size).sqrt()
    return float(max(mean_error.max(), ((samples.T.cov() - sigma).abs() / spread).max()))


def samples_of_the_function():
    g = torch.Generator().manual_seed(0)
    z, kept = torch.zeros(CHAINS, D, dtype=torch.float64), []
    for i in range(BURN_IN + SNAPSHOTS * EVERY):
        draw = torch.randn(CHAINS, D, generator=g, dtype=torch.float64)
        z = module.langevin(z, (z - MEAN) @ A, STEP, TEMPERATURE, draw)
        if i >= BURN_IN and (i - BURN_IN) % EVERY == EVERY - 1:
            kept.append(z)
    return torch.cat(kept)


class Bowl:
    """½ (z − μ)ᵀ A (z − μ) of the first logits, read through a relaxation that changes nothing."""

    @sea.hookimpl
    def sea_register_energies(self, register):
        @register("bowl")
        def bowl(response):
            off = response.weights[:, :, 0, :D].double() - MEAN
            return 0.5 * torch.einsum("pci,ij,pcj->pc", off, A, off).float()

    @sea.hookimpl
    def sea_register_relaxations(self, register):
        @register("identity")
        def identity(logits):
            return logits


@pytest.fixture(scope="module")
def problem():
    plugins = PluginHub.discover(plugins=())
    recipe = {
        "energies": [{"name": "bowl"}],
        "relaxation": {"name": "identity", "top_k": 0},
        "sampler": {"name": "sea", "chains": CHAINS},
        "max_new_tokens": 1,
    }
    with plugins.temporarily(Bowl(), name="bowl"):
        policy = Policy(tiny_model(vocab=40), tiny_tokenizer(40))
        yield problem_for(recipe=recipe, plugins=plugins, policy=policy, prompts=["ab"], sampler=None, chains=None,
                          max_new_tokens=None)  # fmt: skip


def samples_of_the_sampler(problem):
    sampler, noise = Sea(step_size=STEP, temperature=TEMPERATURE, check_every=10_000), noise_for(problem, 1)
    state, kept = State(torch.zeros(1, CHAINS, 1, 40), None), []
    for i in range(BURN_IN + SNAPSHOTS * EVERY):
        state, _ = sampler.step(problem, state, noise)
        if i >= BURN_IN and (i - BURN_IN) % EVERY == EVERY - 1:
            kept.append(state.logits[0, :, 0, :D].double())
    return torch.cat(kept)


LIMIT = 4.5


def test_the_closed_form_is_not_the_continuous_one():
    continuous = TEMPERATURE * torch.linalg.inv(A)
    assert (stationary_covariance() / continuous - 1).abs().max() > 0.2


def test_the_function_has_the_law_of_the_discretized_chain():
    assert misfit(samples_of_the_function()) < LIMIT


def test_the_sampler_has_the_law_of_the_discretized_chain(problem):
    assert misfit(samples_of_the_sampler(problem)) < LIMIT


MUTANTS = {
    "sign": lambda z, g, step, temp, draw: z + step * g + (2 * step * temp) ** 0.5 * draw,
    "root two": lambda z, g, step, temp, draw: z - step * g + (step * temp) ** 0.5 * draw,
    "temperature": lambda z, g, step, temp, draw: z - step * g + (2 * step) ** 0.5 * draw,
    "step of the noise": lambda z, g, step, temp, draw: z - step * g + (2 * step**2 * temp) ** 0.5 * draw,
    "no noise": lambda z, g, step, temp, draw: z - step * g,
    "half a gradient": lambda z, g, step, temp, draw: z - step / 2 * g + (2 * step * temp) ** 0.5 * draw,
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutants_miss_the_law(mutant, problem, monkeypatch):
    monkeypatch.setattr(module, "langevin", MUTANTS[mutant])
    assert not misfit(samples_of_the_function()) < LIMIT
    assert not misfit(samples_of_the_sampler(problem)) < LIMIT


def test_one_step_is_the_equation():
    z, g, draw = torch.tensor([1.0]), torch.tensor([2.0]), torch.tensor([3.0])
    assert float(langevin(z, g, 0.5, 4.0, draw)) == pytest.approx(1.0 - 0.5 * 2.0 + (2 * 0.5 * 4.0) ** 0.5 * 3.0)


def test_at_temperature_zero_it_is_gradient_descent():
    problem = problem_for(recipe={"energies": [{"name": "reference"}], "relaxation": {"name": "softmax", "top_k": 20}},
                          energies={"length": (1.0, lambda r: r.expected_length())})  # fmt: skip
    sampler, noise = Sea(step_size=0.2, temperature=0.0), noise_for(problem)
    state, info = sampler.init(problem, noise)
    assert torch.equal(sampler.current(problem, state), problem.start(noise_for(problem)).ids), "it starts as the text"
    energies = []
    for _ in range(8):
        state, info = sampler.step(problem, state, noise)
        energies.append(info.metrics["soft_energy"])
    assert (energies[-1] < energies[0]).all()
    assert (info.metrics["gradient_norm"] > 0).all()


def test_stopped_chains_stay():
    problem = problem_for()
    sampler, noise = Sea(), noise_for(problem)
    state, _ = sampler.init(problem, noise)
    problem.run.stopped = torch.tensor([[True, False]])
    new, _ = sampler.step(problem, state, noise)
    assert torch.equal(new.logits[0, 0], state.logits[0, 0])
    assert not torch.equal(new.logits[0, 1], state.logits[0, 1])
