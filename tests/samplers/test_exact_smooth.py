"""`mala` and `psgld` on a quadratic energy: mean and covariance in closed form, and mutants that miss them."""

from __future__ import annotations

import pytest
import torch

import sea_toolkit as sea
from sea_toolkit.lm.policy import Policy
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.samplers import mala as mala_module
from sea_toolkit.samplers import psgld as psgld_module
from sea_toolkit.samplers.mala import Mala
from sea_toolkit.samplers.psgld import Psgld
from sea_toolkit.samplers.psgld import State as PsgldState
from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from tests.helpers import noise_for, problem_for

D, CHAINS, TEMPERATURE, WIDTH = 3, 600, 0.6, 1.5
A = torch.tensor([[2.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 0.7]], dtype=torch.float64)
MEAN = torch.tensor([1.5, -2.0, 0.5], dtype=torch.float64)
CENTER = torch.tensor([-0.5, 0.5, 1.0], dtype=torch.float64)
EYE = torch.eye(D, dtype=torch.float64)
HESSIAN = A + TEMPERATURE / WIDTH**2 * EYE
MODE = torch.linalg.solve(HESSIAN, A @ MEAN + TEMPERATURE / WIDTH**2 * CENTER)


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
        "sampler": {"name": "mala", "chains": CHAINS},
        "max_new_tokens": 1,
    }
    unset = {"sampler": None, "chains": None, "max_new_tokens": None}
    with plugins.temporarily(Bowl(), name="bowl"):
        policy = Policy(tiny_model(vocab=40), tiny_tokenizer(40))
        yield problem_for(recipe=recipe, plugins=plugins, policy=policy, prompts=["ab"], **unset)


def start():
    z = torch.zeros(1, CHAINS, 1, 40)
    center = z.clone()
    center[..., :D] = CENTER.float()
    return z, center


def samples(sampler, problem, state, *, steps, burn, every):
    noise, kept = noise_for(problem, 1), []
    for i in range(burn + steps):
        state, _ = sampler.step(problem, state, noise)
        if i >= burn and i % every == 0:
            kept.append(state.logits[0, :, 0, :D].double())
    return torch.stack(kept)  # [times, chains, D]


def misfit(found, covariance):
    """Largest deviation of mean and covariance from the closed form, in standard errors.

    The errors come from the spread between chains, which are independent.
    """
    off = found - MODE
    products = off[..., :, None] * off[..., None, :]
    errors = []
    for values, expected in ((off, torch.zeros(D)), (products, covariance)):
        per_chain = values.mean(0)
        errors.append((per_chain.mean(0) - expected).abs() / (per_chain.std(0) / len(per_chain) ** 0.5))
    return float(max(e.max() for e in errors))


LIMIT = 4.5
"""Standard errors; nine numbers are looked at."""


def mala_misfit(problem, sampler=None, step_size=0.5):
    sampler = sampler or Mala(step_size=step_size, temperature=TEMPERATURE, prior_width=WIDTH, check_every=10_000)
    z, center = start()
    state = sampler.at(problem, z, None, center, noise_for(problem))
    # the other 37 logits are not in the energy: only the Gaussian holds them
    found = samples(sampler, problem, state, steps=150, burn=80, every=3)
    return misfit(found, TEMPERATURE * torch.linalg.inv(HESSIAN))


def test_mala_has_the_mean_and_covariance_of_the_law(problem):
    assert mala_misfit(problem, step_size=0.25) < LIMIT


def test_mala_accepts_some_and_rejects_some(problem):
    sampler = Mala(step_size=0.25, temperature=TEMPERATURE, prior_width=WIDTH)
    z, center = start()
    noise = noise_for(problem)
    state = sampler.at(problem, z, None, center, noise)
    for _ in range(30):
        state, info = sampler.step(problem, state, noise)
    assert 0.2 < float(info.metrics["accepted"].mean()) < 0.95
    again = sampler.at(problem, state.logits, None, center, noise)
    torch.testing.assert_close(state.value, again.value)
    torch.testing.assert_close(state.gradient, again.gradient)


@pytest.mark.parametrize("mutant", ["no root two", "sign", "no correction", "correction turned"])
def test_mutants_of_mala_are_red(problem, mutant, monkeypatch):
    plain, correction = mala_module.langevin, Mala.correction
    if mutant == "no root two":
        monkeypatch.setattr(mala_module, "langevin", lambda z, g, n, t, e: plain(z, g, n, t, e / 2**0.5))
    elif mutant == "sign":
        monkeypatch.setattr(
            Mala, "correction", lambda self, a, b, n, t: correction(self, a, b, n, t) - 2 * (a.value - b.value) / t
        )
    else:
        factor = 0.0 if mutant == "no correction" else -1.0
        monkeypatch.setattr(Mala, "correction", lambda *args: factor * correction(*args))
    assert mala_misfit(problem, step_size=0.25) > 1.5 * LIMIT


SQUARE = torch.tensor([4.0, 0.25, 1.0], dtype=torch.float64)
PSGLD = {"step_size": 0.4, "temperature": TEMPERATURE, "damping": 0.3, "prior_width": WIDTH, "check_every": 10_000}


def psgld_misfit(problem, **options):
    """The preconditioner frozen: Σ = (I − ηGH) Σ (I − ηGH)ᵀ + 2ητG."""
    sampler = Psgld(decay=1.0, **PSGLD | options)
    z, center = start()
    square = torch.ones_like(z)
    square[..., :D] = SQUARE.float()
    found = samples(sampler, problem, PsgldState(z, None, center, square), steps=150, burn=50, every=3)
    scale = (1 / (PSGLD["damping"] + SQUARE.sqrt())).diag()
    m = EYE - PSGLD["step_size"] * scale @ HESSIAN
    left = torch.eye(D * D, dtype=torch.float64) - torch.kron(m, m)
    noise = 2 * PSGLD["step_size"] * TEMPERATURE * scale
    return misfit(found, torch.linalg.solve(left, noise.flatten()).view(D, D))


def test_psgld_with_a_frozen_preconditioner(problem):
    assert psgld_misfit(problem) < LIMIT


def test_with_a_frozen_preconditioner_gamma_is_zero(problem):
    assert psgld_misfit(problem, gamma=True) < LIMIT


@pytest.mark.parametrize("mutant", ["no root two", "sign", "unscaled noise"])
def test_mutants_of_psgld_are_red(problem, mutant, monkeypatch):
    if mutant == "sign":
        plain = psgld_module.potential_at

        def flipped(*args):
            here = plain(*args)
            return type(here)(here.value, -0.1 * here.gradient, here.energies)

        monkeypatch.setattr(psgld_module, "potential_at", flipped)
    else:
        step = Psgld.step

        def mutated(self, problem, state, noise):
            scale = 1 / (self.damping + state.square.sqrt())
            factor = 2**-0.5 if mutant == "no root two" else 1 / scale.sqrt()

            class Scaled(type(noise)):
                def __init__(self):
                    self.device, self.generators = noise.device, noise.generators

                def normal(self, *shape):
                    return factor * noise.normal(*shape)

            return step(self, problem, state, Scaled())

        monkeypatch.setattr(Psgld, "step", mutated)
    found = psgld_misfit(problem)
    assert not found < 1.5 * LIMIT


@pytest.mark.parametrize("decay", [0.5, 0.95])
def test_gamma_is_the_derivative_of_the_preconditioner(problem, decay):
    options = PSGLD | {"decay": decay, "gamma": True}
    sampler, g = Psgld(**options), torch.Generator().manual_seed(0)
    z, center = start()
    z = z + torch.randn(1, 1, 1, 40, generator=g)
    old = torch.rand(1, 1, 1, 40, generator=g).expand_as(z)
    x = z[0, 0, 0, :D].double().requires_grad_()
    slope = HESSIAN @ (x - MODE)
    scale = 1 / (PSGLD["damping"] + (decay * old[0, 0, 0, :D] + (1 - decay) * slope.square()).sqrt())
    expected = torch.stack([torch.autograd.grad(scale[i], x, retain_graph=True)[0][i] for i in range(D)])
    here = psgld_module.potential_at(problem, z, None, center, TEMPERATURE, WIDTH, noise_for(problem))
    square = decay * old + (1 - decay) * here.gradient.square()
    state = PsgldState(z, None, center, old)
    found = sampler.gamma_at(problem, state, here.gradient, square, TEMPERATURE, noise_for(problem))[0, :, 0, :D]
    error = found.std(0) / CHAINS**0.5 + 1e-3
    assert bool(((found.mean(0) - expected).abs() < 4 * error).all())
    assert bool((expected.abs() > 8 * error).any())
    # and it enters the step as +η τ Γ
    steps = [
        Psgld(**options | {"gamma": on}).step(problem, state, noise_for(problem, 3))[0].logits for on in (False, True)
    ]
    drift = (steps[1].mean(1) - steps[0].mean(1))[0, 0, :D] / (PSGLD["step_size"] * TEMPERATURE)
    spread = (2 / CHAINS) ** 0.5 * (2 * TEMPERATURE * scale.detach() / PSGLD["step_size"]).sqrt() / TEMPERATURE
    assert bool(((drift - expected).abs() < 4 * (spread + error)).all())


def test_the_preconditioner_follows_the_squared_gradient(problem):
    sampler = Psgld(decay=0.9, **PSGLD)
    z, center = start()
    noise = noise_for(problem)
    first, _ = sampler.step(problem, PsgldState(z, None, center, None), noise)
    here = psgld_module.potential_at(problem, z, None, center, TEMPERATURE, WIDTH, noise)
    torch.testing.assert_close(first.square, here.gradient.square())
    there = psgld_module.potential_at(problem, first.logits, None, center, TEMPERATURE, WIDTH, noise)
    second, _ = sampler.step(problem, first, noise)
    torch.testing.assert_close(second.square, 0.9 * first.square + 0.1 * there.gradient.square())


def test_mala_weighs_anew_what_follows_a_schedule():
    ramp = {"schedule": "linear", "start": 0.0, "end": 4.0}
    recipe = {"energies": [{"name": "reference"}, {"name": "length", "target": 4.0, "weight": ramp}]}
    work, sampler = problem_for(sampler="mala", recipe=recipe), Mala(step_size=1e-6)
    noise = noise_for(work)
    state, _ = sampler.init(work, noise)
    work.clock.progress = 0.5
    new, info = sampler.step(work, state, noise)
    again = sampler.at(work, new.logits, new.candidates, new.center, noise)
    torch.testing.assert_close(new.value, again.value)
    assert bool((info.metrics["acceptance"] > 0.9).all())


@pytest.mark.parametrize("kind", [Mala, Psgld])
def test_texts_are_scored_as_often_as_asked_and_the_first_logits_scaled(kind):
    work = problem_for(sampler=kind.__name__.lower())
    noise = noise_for(work)
    plain, flat = (kind(init_scale=s, check_every=2).init(work, noise_for(work))[0] for s in (1.0, 5.0))
    spread = [s.logits.std(-1).mean() for s in (plain, flat)]
    assert float(spread[0]) > 2 * float(spread[1])
    looks = []
    for step in range(4):
        work.clock.step = step
        looks.append(kind(check_every=2).step(work, plain, noise)[1].scored is not None)
    assert looks == [False, True, False, True]


def test_would_accept_is_the_ratio_of_densities_of_the_step_before(problem):
    """In float64, with torch's own normal density."""
    sampler = Psgld(decay=1.0, **PSGLD)
    z, center = start()
    square = torch.ones_like(z)
    square[..., :D] = SQUARE.float()
    noise = noise_for(problem)
    first = PsgldState(z, None, center, square)
    second, info = sampler.step(problem, first, noise)
    assert bool(info.metrics["would_accept"].isnan().all())
    _, info = sampler.step(problem, second, noise)
    scale = (1 / (PSGLD["damping"] + square.double().sqrt()))[0, :, 0]
    rest = torch.tensor(TEMPERATURE / WIDTH**2, dtype=torch.float64)

    def slope_and_value(at):
        x = at.detach().double()[0, :, 0].requires_grad_()
        off = x[:, :D] - MEAN
        energy = 0.5 * torch.einsum("ci,ij,cj->c", off, A, off)
        value = energy + 0.5 * rest * (x - center.double()[0, :, 0]).square().sum(-1)
        (slope,) = torch.autograd.grad(value.sum(), x)
        return x.detach(), slope, value.detach()

    (a, slope_a, value_a), (b, slope_b, value_b) = slope_and_value(first.logits), slope_and_value(second.logits)
    eta = PSGLD["step_size"]
    spread = (2 * eta * TEMPERATURE * scale).sqrt()
    forth = torch.distributions.Normal(a - eta * scale * slope_a, spread).log_prob(b).sum(-1)
    back = torch.distributions.Normal(b - eta * scale * slope_b, spread).log_prob(a).sum(-1)
    expected = ((value_a - value_b) / TEMPERATURE + back - forth).clamp(max=0).exp()
    torch.testing.assert_close(info.metrics["would_accept"][0].double(), expected, atol=2e-3, rtol=0)
    assert 0.1 < float(expected.mean()) < 0.95
    cold = Psgld(**PSGLD | {"temperature": 0.0})
    assert bool(cold.step(problem, second, noise)[1].metrics["would_accept"].isnan().all())
