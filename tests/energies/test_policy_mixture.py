"""`policy-mixture`: weighted log-likelihoods of several language models."""

from __future__ import annotations

import pytest
import torch

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.testing import Setting, check_energy
from sea_toolkit.testing.energies.check import PROPERTIES as ENERGY
from tests.energies.chat_models import log_p, saved_models
from tests.helpers import PROMPTS, UNSEEN, hub, problem_for

TEXTS = ["the sand in it.", "on", "is it a rain or an error?"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return saved_models(tmp_path_factory.mktemp("mixture"))


def term_of(models, prompts=PROMPTS[:2], energies=(), **options):
    recipe = {"energies": [{"name": "policy-mixture", "models": models, **options}, *energies]}
    problem = problem_for(recipe=recipe, prompts=prompts, max_new_tokens=8, sampler="best-of-n")
    return problem, problem.terms[0]


@pytest.mark.parametrize("other", ["reference", "plain", "other"])
def test_it_is_the_weighted_sum_of_log_likelihoods_with_the_end_where_the_answer_has_ended(other, folders):
    models = [{"model": folders["tuned"], "weight": 0.7}, {"model": folders[other], "weight": -0.4}]
    problem, term = term_of(models)
    _, mean = term_of(models, normalize="mean")
    assert not term.is_reward
    texts = TEXTS if other == "reference" else [f" {text}" for text in TEXTS]
    for ended in (True, False):
        finished = torch.full((2, 3), ended)
        response = problem.policy.from_text([texts] * 2, finished)
        for p, prompt in enumerate(PROMPTS[:2]):
            for text, found, found_mean in zip(texts, term(response)[p], mean(response)[p], strict=True):
                (a, n_a), (b, n_b) = (log_p(folders[name], prompt, text, ended) for name in ("tuned", other))
                torch.testing.assert_close(found, -(0.7 * a - 0.4 * b), rtol=1e-4, atol=1e-4)
                torch.testing.assert_close(found_mean, -(0.7 * a / n_a - 0.4 * b / n_b), rtol=1e-4, atol=1e-4)


def test_the_policy_itself_is_a_member_that_shares_its_log_likelihood(folders):
    problem, term = term_of([{"weight": 2.0}, folders["tuned"]], energies=[{"name": "reference"}])
    _, alone = term_of([folders["tuned"]])
    ids = problem.policy.from_text([TEXTS] * 2, torch.ones(2, 3, dtype=torch.bool)).ids
    read = problem.as_text(ids)[1]
    reference = problem.terms[1](read)
    torch.testing.assert_close(term(read), 2.0 * reference + alone(read), rtol=1e-4, atol=1e-4)

    def passes():
        return problem.ledger.summary()["models"][f"policy-mixture:{problem.policy.name}"]["forward"]

    value, before = term(read), passes()
    scored = problem.score_as_text(ids)
    assert passes() == before > 0  # it is known from the reference
    torch.testing.assert_close(scored.energies.terms[term.label], value, rtol=1e-4, atol=1e-4)
    tapped = read.with_gradient_taps()
    slope = tapped.taps.gradient(term(tapped).sum()).over_vocabulary(1, 128)
    assert float(slope.abs().max()) > 0


def test_it_keeps_its_promises(folders):
    setting = Setting(hub=hub(), texts=TEXTS[:1], prompts=PROMPTS[:2], chains=2, length=4)
    held = check_energy("policy-mixture", setting, models=[{"model": folders["tuned"], "weight": 0.5}])
    assert set(held) == set(ENERGY) - UNSEEN


def test_its_gradient_is_that_of_its_members(folders):
    models = [{"model": folders["tuned"], "weight": 0.5}, {"model": folders["reference"], "weight": -2.0}]
    problem, term = term_of(models)
    members = [term_of([model["model"]])[1] for model in models]
    weights = torch.rand(2, 2, 6, 128, generator=torch.Generator().manual_seed(0)).softmax(-1).requires_grad_()
    response = SoftResponse.from_weights(weights, None, problem.policy.eos_ids)
    found, *each = (torch.autograd.grad(t(response).sum(), weights)[0] for t in (term, *members))
    assert float(found.abs().max()) > 0
    torch.testing.assert_close(found, 0.5 * each[0] - 2.0 * each[1], rtol=1e-4, atol=1e-5)


def test_capped_logits_have_a_value_and_no_gradient(folders):
    problem, term = term_of([folders["capped"], folders["tuned"]])
    assert not term.differentiable
    assert "caps" in term.bound.warnings[0]
    response = problem.policy.from_text([TEXTS] * 2, torch.zeros(2, 3, dtype=torch.bool))
    assert term(response).isfinite().all()


def test_its_models_are_counted_and_found_before_anything_is_loaded(folders):
    _, term = term_of([folders["tuned"], {"weight": -0.5}])
    assert len(term.meter.models) == 2
    for models, message in (
        ([folders["tuned"], {"model": folders["tuned"], "weight": 2.0}], "twice"),
        ([{"weight": 2.0}, {}], "the policy twice"),
        ([{"weight": 2.0}], "no model but the policy[\\s\\S]*`reference`"),
        ([{"model": folders["tuned"], "weight": 0.0}], "a model of weight 0"),
        ([], "models"),
        ([{"modle": "a"}], "models"),
    ):
        with pytest.raises(RecipeError, match=message):
            term_of(models)
    with pytest.raises(ModelError, match="no model at"):
        term_of(["./nowhere"])
