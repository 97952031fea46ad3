"""The reference energy: −log π for hard responses, its expectation and gradient for soft ones."""

from __future__ import annotations

import copy

import pytest
import torch

from sea_toolkit.core.meter import Meter
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.energies.reference import PolicyCost, Reference
from sea_toolkit.lm.policy import Policy
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.problem.context import Context
from sea_toolkit.testing.tiny import EOS, tiny_model, tiny_tokenizer
from tests.helpers import PROMPTS, dense, hub, problem_for, random_ids, sparse


def bound(policy=None, prompts=PROMPTS, **options):
    problem = problem_for(
        recipe={"energies": [{"name": "reference", **options}, {"name": "length", "target": 5.0}]},
        prompts=prompts,
        policy=policy,
        max_new_tokens=6,
    )
    return problem, problem.terms[0]


def cost_of(problem, **options):
    """The energy's own object, whose parts are tested here."""
    meter, finder = Meter(problem.ledger), ModelFinder(hub())
    context = Context(
        problem.policy, problem.prompts, problem.prefix, problem.length, problem.ledger, problem.clock, finder, meter
    )
    return PolicyCost(Reference(**options), context)


def policy_of(dtype):
    return Policy(copy.deepcopy(tiny_model()).to(dtype), tiny_tokenizer())


def ended(seed=0):
    ids = random_ids(3, 2, 6, seed=seed)
    ids[0, 0, 3:] = EOS
    ids[2, 1, 0:] = EOS
    return ids


@pytest.mark.parametrize("form", [dense, sparse, lambda ids: SoftResponse.from_ids(ids, (EOS,))])
@pytest.mark.parametrize("normalize", ["sum", "mean"])
def test_one_hot_input_gives_minus_log_pi(form, normalize):
    problem, energy = bound(normalize=normalize)
    ids = ended()
    log_prob = problem.policy.log_prob(problem.prefix, ids)
    alive = SoftResponse.from_ids(ids, (EOS,)).alive
    expected = -(log_prob * alive).sum(-1)
    if normalize == "mean":
        expected = expected / alive.sum(-1)
    torch.testing.assert_close(energy(form(ids)), expected, rtol=1e-4, atol=1e-3)
    response = SoftResponse.from_ids(ids, (EOS,))
    torch.testing.assert_close(energy.of_policy(response, None, None), expected, rtol=1e-4, atol=1e-3)


def test_known_log_probabilities_are_taken_only_where_they_fit():
    _problem, energy = bound()
    ids = ended()
    response = SoftResponse.from_ids(ids, (EOS,))
    plain = energy.of_policy(response, None, None)
    same = torch.tensor([[True, False], [False, False], [True, True]])
    known = torch.full((3, 2), -7.0)
    mixed = energy.of_policy(response, known, same)
    torch.testing.assert_close(mixed, torch.where(same, 7.0, plain), rtol=1e-4, atol=1e-3)
    assert (known == -7.0).all(), "what the caller gave must stay as it is"


@pytest.mark.parametrize("seed", [0, 1])
def test_dead_positions_change_nothing(seed):
    _, energy = bound()
    ids = random_ids(3, 2, 6)
    ids[..., 2] = EOS
    other = ids.clone()
    other[..., 3:] = random_ids(3, 2, 3, seed=seed + 5)
    torch.testing.assert_close(energy(dense(ids)), energy(dense(other)), rtol=0, atol=1e-5)


def expected_by_definition(problem, response):
    """Σ_t alive_t Σ_v p_t(v) · (−log π(v | x, soft y_<t)), from one full forward pass per row."""
    policy, rows = problem.policy, problem.policy.encode(problem.prompts, 1)
    totals = []
    for p, row in enumerate(rows):
        for c in range(response.shape[1]):
            head = policy.backbone.embedding(torch.tensor([row]))
            mixed = response.weights[p, c][None] @ policy.table
            logits = policy.model(inputs_embeds=torch.cat([head, mixed], 1), use_cache=False).logits
            log_p = logits[0, len(row) - 1 : -1].log_softmax(-1)
            totals.append(-(response.alive[p, c] * (response.weights[p, c] * log_p).sum(-1)).sum())
    return torch.stack(totals).view(response.shape[:2])


def test_soft_input_gives_the_expected_cost():
    problem, energy = bound()
    weights = torch.randn(3, 2, 6, 128, generator=torch.Generator().manual_seed(2)).softmax(-1)
    response = SoftResponse.from_weights(weights, None, (EOS,))
    with torch.no_grad():
        expected = expected_by_definition(problem, response)
    torch.testing.assert_close(energy(response), expected, rtol=1e-4, atol=1e-3)
    small = cost_of(problem).from_hidden(
        response, problem.policy.predictors(problem.prefix, response.embed(problem.policy.table)), chunk_rows=7
    )
    torch.testing.assert_close(energy(response), small, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("gradient", ["full", "inputs-detached"])
def test_gradient_against_finite_differences(gradient):
    problem, energy = bound(policy=policy_of(torch.float64), prompts=PROMPTS[:1], gradient=gradient)
    g = torch.Generator().manual_seed(3)
    z = torch.randn(1, 1, 6, 4, generator=g, dtype=torch.float64)
    candidates = torch.rand(1, 1, 6, 124, generator=g).argsort(-1)[..., :4] + 4
    candidates[0, 0, 3, 0] = EOS

    def energy_at(z, fixed=None):
        response = SoftResponse.from_weights(z.softmax(-1), candidates, (EOS,))
        if fixed is None:
            return energy(response)
        hidden = problem.policy.predictors(problem.prefix, fixed)
        return cost_of(problem, gradient=gradient).from_hidden(response, hidden)

    z.requires_grad_()
    (found,) = torch.autograd.grad(energy_at(z).sum(), z)
    fixed = None
    if gradient == "inputs-detached":
        fixed = SoftResponse.from_weights(z.softmax(-1), candidates, (EOS,)).embed(problem.policy.table).detach()
    step = 3e-3  # the costs are computed in float32
    with torch.no_grad():
        for place in [(0, 0, 0, 1), (0, 0, 3, 0), (0, 0, 2, 3), (0, 0, 5, 2)]:
            moved = [z.detach().clone() for _ in range(2)]
            moved[0][place] += step
            moved[1][place] -= step
            slope = (energy_at(moved[0], fixed) - energy_at(moved[1], fixed)) / (2 * step)
            assert float(found[place]) == pytest.approx(float(slope), rel=2e-2, abs=5e-3)


def test_inputs_detached_sends_no_gradient_through_the_model():
    problem, energy = bound(gradient="inputs-detached")
    weights = torch.randn(3, 2, 6, 128, generator=torch.Generator().manual_seed(2)).softmax(-1).requires_grad_()
    response = SoftResponse.from_weights(weights, None, ())  # nothing ends, so survival has no gradient
    (found,) = torch.autograd.grad(energy(response).sum(), weights)
    with torch.no_grad():
        hidden = problem.policy.predictors(problem.prefix, response.embed(problem.policy.table))
        cost = -problem.policy.logits(hidden).log_softmax(-1)
    torch.testing.assert_close(found, cost, rtol=1e-4, atol=1e-3)
    backward = problem.ledger.models["policy"].backward
    assert backward == 0

    problem, energy = bound(gradient="full")
    (full,) = torch.autograd.grad(energy(SoftResponse.from_weights(weights, None, ())).sum(), weights)
    assert not torch.allclose(full, cost, atol=1e-2)
    assert problem.ledger.models["policy"].backward == 3 * 2 * (5 + 6)


def test_bfloat16():
    _problem, energy = bound(policy=policy_of(torch.bfloat16))
    _, exact = bound()
    ids = ended()
    weights = torch.nn.functional.one_hot(ids, 128).float().requires_grad_()
    found = energy(SoftResponse.from_weights(weights, None, (EOS,)))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact(dense(ids)), rtol=0.1, atol=1.0)
    (gradient,) = torch.autograd.grad(found.sum(), weights)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


def test_policy_weight_is_what_a_summed_nat_counts():
    length = torch.tensor([[4.0, 6.0]]).expand(3, 2)
    for normalize, expected in (("sum", torch.full((3, 2), 2.5)), ("mean", 2.5 / length)):
        problem, _ = bound(normalize=normalize, weight=2.5)
        torch.testing.assert_close(problem.policy_weight(length), expected)
