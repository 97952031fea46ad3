"""`embedding`: points among the tokens' embeddings, the slope in that space, and the samplers that walk there."""

from __future__ import annotations

import pytest
import torch

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.embedding_space import EmbeddingSpace
from sea_toolkit.relaxations.embedding import embedding
from sea_toolkit.samplers.sea import Sea
from sea_toolkit.samplers.shared.latent import hard_ids, latent_of
from tests.helpers import noise_for, problem_for, random_ids, run_for
from tests.runs.test_resume import assert_same

V, D = 40, 6
RELAXATION = {"relaxation": {"name": "embedding"}}
TERMS = {"energies": [{"name": "reference"}, {"name": "length", "target": 4.0}], **RELAXATION}


def space_of(v=V, d=D, seed=0):
    g = torch.Generator().manual_seed(seed)
    return EmbeddingSpace(0.3 * torch.randn(v, d, generator=g) + torch.tensor([2.0, *[0.0] * (d - 1)]))


def points_of(space, *shape, seed=1):
    g = torch.Generator().manual_seed(seed)
    return space.center + 0.4 * torch.randn(*shape, space.table.shape[-1], generator=g)


def test_a_point_is_read_as_the_nearest_token():
    space = space_of()
    points = points_of(space, 2, 3, 200)
    weights = embedding(points, space)
    distances = (points[..., None, :] - space.table).norm(dim=-1)
    assert torch.equal(weights, torch.nn.functional.one_hot(distances.argmin(-1), V).float())
    own = embedding(space.table.view(1, 1, V, D), space)
    assert torch.equal(own[0, 0], torch.eye(V))
    assert len(weights.argmax(-1).unique()) > V / 2


def test_the_unit_is_that_of_two_tokens_drawn_at_random():
    space = space_of()
    off = space.table[:, None] - space.table[None]
    assert space.unit == pytest.approx(float(off.square().mean().sqrt()), rel=1e-5)


def test_the_slope_is_that_of_the_embedding_where_the_energy_reads_embeddings():
    """Chained positions and a nonlinear energy: as if each point were its token's embedding."""
    space = space_of()
    mix = torch.randn(D, 5, generator=torch.Generator().manual_seed(3))

    def energy(embeds):
        return torch.tanh(embeds.cumsum(2) @ mix).square().sum()

    points = points_of(space, 2, 2, 4).requires_grad_()
    response = SoftResponse.from_weights(embedding(points, space), None, (0,))
    energy(response.embed(space.table)).backward()
    at = space.table[response.ids].requires_grad_()
    energy(at).backward()
    torch.testing.assert_close(points.grad, at.grad, atol=1e-4, rtol=1e-3)
    assert float(at.grad.abs().max()) > 0.1


def test_costs_that_are_linear_in_the_embedding_are_exact_and_constants_do_not_count():
    """−log π under a head that shares the table: log Z − ⟨h, e_v⟩."""
    space = space_of()
    slope = torch.randn(3, 1, 2, D, generator=torch.Generator().manual_seed(5))
    of_weights = slope @ space.table.T + 7.0
    torch.testing.assert_close(space.gradient(of_weights), slope, atol=1e-4, rtol=1e-3)


def test_other_costs_are_fitted_by_least_squares():
    space = space_of()
    costs = torch.randn(4, V, generator=torch.Generator().manual_seed(6))
    design = torch.cat([space.table, torch.ones(V, 1)], -1)
    expected = torch.linalg.lstsq(design, costs.T).solution[:D].T
    torch.testing.assert_close(space.gradient(costs), expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("table", [space_of(5, 9).table, space_of(12, 4).table[[0, 0, 1, 1, 2, 2]]])
def test_fewer_tokens_than_coordinates_and_equal_tokens(table):
    """Between the tokens there are, the slope is exact; elsewhere it is zero."""
    space = EmbeddingSpace(table)
    costs = table @ torch.randn(table.shape[-1], generator=torch.Generator().manual_seed(7))
    slope = space.gradient(costs)
    assert torch.isfinite(slope).all()
    found = table @ slope
    torch.testing.assert_close(found - found[0], costs - costs[0], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("sampler", ["sea", "mala", "psgld"])
def test_the_start_is_the_text_that_was_given(sampler):
    problem = problem_for(recipe=TERMS, sampler=sampler, chains=3)
    assert problem.top_k is None
    ids = random_ids(1, 3, 10)
    latent, candidates = latent_of(problem, ids)
    space = problem.relaxation.space
    assert candidates is None
    assert latent.shape == (1, 3, 10, space.table.shape[-1])
    assert torch.equal(hard_ids(problem, latent, None), ids)
    response = problem.relax(latent, None, noise_for(problem))
    assert torch.equal(response.ids, ids)
    spread = latent_of(problem, torch.arange(4, 124).view(1, 3, 40))[0].flatten(0, 2)
    assert float((spread[:60] - spread[60:]).square().mean().sqrt()) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    "sampler",
    [
        {"name": "sea", "step_size": 0.5, "check_every": 2},
        {"name": "mala", "step_size": 0.02, "temperature": 2.0, "check_every": 2},
        {"name": "psgld", "step_size": 0.2, "check_every": 2},
    ],
    ids=lambda s: s["name"],
)
def test_runs_move_resume_and_find_better_texts(sampler, tmp_path):
    settings = {"recipe": TERMS, "energies": {}, "sampler": sampler, "steps": 16}
    whole = run_for(tmp_path / "whole", **settings)
    results = whole.execute()
    gains = [c["start_energy"] - c["energy"] for r in results for c in r.chains]  # not of one start over another
    assert sum(gains) > 1.0
    run_for(tmp_path / "cut", stop_after=3, **settings).execute()
    again = run_for(tmp_path / "cut", **settings)
    again.resume()
    again.execute()
    assert_same(tmp_path / "whole", tmp_path / "cut")


def test_energies_see_the_very_tokens_that_are_decoded():
    problem = problem_for(recipe=TERMS, sampler={"name": "sea", "step_size": 0.5, "check_every": 1})
    sampler, noise = Sea(step_size=0.5, check_every=1), noise_for(problem)
    state, _ = sampler.init(problem, noise)
    for _ in range(3):
        state, info = sampler.step(problem, state, noise)
        response = problem.relax(state.logits, state.candidates, noise)
        assert torch.equal(response.ids, info.scored.ids)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"relaxation": {"name": "embedding", "top_k": 50}}, "looks among all tokens"),
        ({"sampler": {"name": "sea-adam"}}, "'sea-adam' needs a relaxation of logits"),
        ({"sampler": {"name": "sea", "init_scale": 2.0}}, "init_scale = 2 divides logits"),
    ],
)
def test_what_means_nothing_for_points_is_refused(changes, message):
    recipe = {**TERMS, "sampler": {"name": "sea"}, **changes}
    with pytest.raises(RecipeError, match=message):
        run_for(recipe=recipe, energies={}, steps=2).execute()


def test_a_sampler_with_logits_of_its_own_is_refused():
    problem = problem_for(recipe=TERMS, sampler="sea")
    with pytest.raises(RecipeError, match=r"relaxation 'embedding' \(built-in\) works on points of .* coordinates"):
        problem.relax(torch.zeros(1, 2, 10, 128), None, noise_for(problem))
