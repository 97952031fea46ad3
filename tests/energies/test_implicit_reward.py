"""`implicit-reward`: β times the log-ratio of two language models, as DPO's trainers compute it."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.testing import Setting, check_energy
from sea_toolkit.testing.energies.check import PROPERTIES as ENERGY
from tests.energies.chat_models import log_p, saved_models
from tests.helpers import PROMPTS, UNSEEN, hub, problem_for

TEXTS = ["the sand in it.", "on", "is it a rain or an error?", ""]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return saved_models(tmp_path_factory.mktemp("implicit"))


def term_of(prompts=PROMPTS[:2], **options):
    problem = problem_for(
        recipe={"energies": [{"name": "implicit-reward", **options}]},
        prompts=prompts,
        max_new_tokens=8,
        sampler="best-of-n",
    )
    return problem, problem.terms[0]


@pytest.mark.parametrize(
    ("tuned", "reference", "end"),
    [("tuned", "reference", True), ("tuned", "reference", False), ("plain", "other", True)],
)
def test_it_is_the_log_ratio_of_the_two_models(tuned, reference, end, folders):
    more = {"model": folders[tuned], "reference": folders[reference], "end": end}
    _, term = term_of(beta=0.1, **more)
    _, mean = term_of(beta=0.1, normalize="mean", **more)
    assert term.is_reward
    prompts = PROMPTS[:2]
    for p, prompt in enumerate(prompts):
        texts = TEXTS if tuned == "tuned" else [f" {text}" for text in TEXTS]
        for text, found, found_mean in zip(
            texts, -term.score_text(prompts, [texts] * 2)[p], -mean.score_text(prompts, [texts] * 2)[p], strict=True
        ):
            (a, n_a), (b, n_b) = (log_p(folders[name], prompt, text, end) for name in (tuned, reference))
            torch.testing.assert_close(found, 0.1 * (a - b), rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(found_mean, 0.1 * (a / n_a - b / n_b), rtol=1e-4, atol=1e-4)


def test_it_keeps_its_promises_with_tokens_of_both_kinds(folders):
    models = {"model": folders["other"], "reference": folders["reference"]}
    held = check_energy("implicit-reward", Setting(hub=hub(), texts=TEXTS), **models)
    assert set(held) == set(ENERGY) - UNSEEN


def test_at_the_last_position_the_gradient_is_the_log_ratio_of_each_token(folders):
    """There nothing is read after it: the slope of p_t(v) is −β (log π_a(v) − log π_b(v)), but for one number."""
    problem, term = term_of(prompts=PROMPTS[:1], model=folders["tuned"], reference=folders["reference"])
    policy = problem.policy
    response = policy.from_text([["so it is"]], torch.zeros(1, 1, dtype=torch.bool))
    tapped = response.with_gradient_taps()
    value = term(tapped)
    last = response.shape[2] - 1
    slope = tapped.taps.gradient(value.sum()).over_vocabulary(last, 128)[0, 0]
    expected = torch.zeros(128)
    for name, sign in (("tuned", -1.0), ("reference", 1.0)):
        model, tokenizer = (kind.from_pretrained(folders[name]) for kind in (AutoModelForCausalLM, AutoTokenizer))
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": PROMPTS[0]}], tokenize=False, add_generation_prompt=True
        )
        ids = tokenizer(text + "so it is", add_special_tokens=False).input_ids
        with torch.no_grad():
            expected += sign * model.eval()(input_ids=torch.tensor([ids])).logits[0, -2].log_softmax(-1)
    torch.testing.assert_close(slope - slope.mean(), expected - expected.mean(), rtol=1e-3, atol=1e-3)


def test_capped_logits_score_texts_only(folders):
    _, term = term_of(model=folders["capped"], reference=folders["reference"])
    assert not term.differentiable
    assert "caps" in term.bound.warnings[0]


def test_a_text_that_is_too_long_has_no_value(folders):
    _, term = term_of(prompts=PROMPTS[:1], model=folders["tuned"])
    assert term.score_text(PROMPTS[:1], [["on", "an error " * 300]]).isnan().tolist() == [[False, True]]


def test_a_model_is_not_compared_with_itself(folders):
    with pytest.raises(RecipeError, match="with itself"):
        term_of(model=folders["tuned"], reference=folders["tuned"])
    with pytest.raises(ModelError, match="no model at"):
        term_of(model=folders["tuned"], reference="./nowhere")
