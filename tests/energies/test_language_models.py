"""`perplexity`: the numbers of the plain transformers model; and what `perplexity` and `judge` owe a run."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from sea_toolkit.core.meter import parameters_used
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import ModelError
from sea_toolkit.lm.policy import Policy
from sea_toolkit.testing import Setting, check_energy
from sea_toolkit.testing.energies.check import PROPERTIES as ENERGY
from sea_toolkit.testing.tiny import EOS, tiny_model, tiny_tokenizer
from tests.helpers import PROMPTS, SOFT, UNSEEN, hub, problem_for, tiny_policy

CLOSE = {"rtol": 1e-4, "atol": 2e-4}
TEXTS = ["the sand in it.", "on", "is it a rain or an error?", ""]
ASK = {"yes": "a", "no": ["o", "u"]}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of language models: one of the policy's tokens, one padded, one that caps its logits, one of others."""
    root = tmp_path_factory.mktemp("lms")
    made = {
        "sibling": (tiny_model("gpt2", seed=3), tiny_tokenizer()),
        "padded": (tiny_model("llama", 136, seed=4), tiny_tokenizer()),
        "narrow": (tiny_model("llama", 120, seed=5), tiny_tokenizer(120)),
        "capped": (tiny_model("gemma2", seed=6, final_logit_softcapping=5.0), tiny_tokenizer()),
    }
    for name, (model, tokenizer) in made.items():
        if name != "sibling":
            tokenizer.chat_template = None
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return {name: str(root / name) for name in made}


def term_of(name, prompts=PROMPTS, **options):
    problem = problem_for(
        recipe={"energies": [{"name": name, **options}]}, prompts=prompts, max_new_tokens=8, sampler="best-of-n"
    )
    return problem, problem.terms[0]


def loaded(folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return Policy(AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder))


def log_probs(lm, before, ids):
    with torch.no_grad():
        logits = lm.model(input_ids=torch.tensor([[*before, *ids]])).logits[0]
        # a row that pads the vocabulary stands for no token, and no text has it
        logits = logits[:, : len(lm.tokenizer)].log_softmax(-1)
    return [float(logits[len(before) + t - 1, token]) for t, token in enumerate(ids)]


def ids_of(lm, text):
    return lm.tokenizer(text, add_special_tokens=False).input_ids


PERPLEXITIES = [
    (None, {}), (None, {"normalize": "sum"}), (None, {"conditioned": False}), ("sibling", {}),
    ("padded", {"conditioned": False, "normalize": "sum"}),
]  # fmt: skip


@pytest.mark.parametrize(("model", "options"), PERPLEXITIES)
def test_perplexity_keeps_its_promises(model, options, folders):
    more = {} if model is None else {"model": folders[model]}
    held = check_energy("perplexity", Setting(hub=hub(), texts=TEXTS), **options, **more)
    assert set(held) == set(ENERGY) - UNSEEN


@pytest.mark.parametrize("model", ["narrow", "capped"])
def test_perplexity_on_texts_keeps_its_promises(model, folders):
    held = check_energy("perplexity", Setting(hub=hub(), texts=TEXTS), model=folders[model])
    assert set(held) == set(ENERGY) - SOFT


@pytest.mark.parametrize("model", [None, "sibling", "padded", "narrow", "capped"])
@pytest.mark.parametrize("conditioned", [True, False])
@pytest.mark.parametrize("normalize", ["sum", "mean"])
def test_perplexity_is_what_the_model_says(model, conditioned, normalize, folders):
    more = {} if model is None else {"model": folders[model]}
    _, term = term_of("perplexity", conditioned=conditioned, normalize=normalize, **more)
    lm = tiny_policy() if model is None else loaded(folders[model])
    found = term.score_text(PROMPTS, [TEXTS] * 3)
    for p, prompt in enumerate(PROMPTS):
        before = lm.encode([prompt], 8)[0] if conditioned else [1]
        for c, text in enumerate(TEXTS):
            ids = ids_of(lm, text)
            expected = -sum(log_probs(lm, before, ids)) / (max(1, len(ids)) if normalize == "mean" else 1)
            assert float(found[p, c]) == pytest.approx(expected, rel=1e-4, abs=2e-4)


def test_a_relaxed_answer_costs_the_expectation_over_its_tokens():
    """At the last position before the end, where the mixture changes nothing that is read later."""
    _, term = term_of("perplexity", normalize="sum", prompts=PROMPTS[:1])
    lm, (a, b, c) = tiny_policy(), (20, 30, 40)
    before = lm.encode(PROMPTS[:1], 8)[0]
    weights = torch.zeros(1, 1, 2, 128)
    weights[..., 0, a] = 1.0
    weights[..., 1, b], weights[..., 1, c], weights[..., 1, EOS] = 0.5, 0.2, 0.3
    first, on_b = log_probs(lm, before, [a, b])
    on_c = log_probs(lm, before, [a, c])[1]
    found = term(SoftResponse.from_weights(weights, None, (EOS,)))
    assert float(found) == pytest.approx(-first - 0.5 * on_b - 0.2 * on_c, rel=1e-4)


def test_an_end_of_text_is_not_counted():
    _, term = term_of("perplexity", normalize="sum")
    policy = tiny_policy()
    for done in (True, False):
        finished = torch.full((3, 4), done)
        found = term(policy.from_text([TEXTS] * 3, finished))
        torch.testing.assert_close(found, term.score_text(PROMPTS, [TEXTS] * 3), **CLOSE)


def model_of(term):
    (announced,) = term.meter.models
    return announced.module


@pytest.mark.parametrize("name", ["perplexity", "judge"])
def test_no_model_is_loaded_twice(name, folders):
    options = ASK if name == "judge" else {}
    energies = [{"name": name, "model": folders["sibling"], **options}] * 2
    problem = problem_for(recipe={"energies": energies}, prompts=PROMPTS, sampler="best-of-n")
    assert model_of(problem.terms[0]) is model_of(problem.terms[1])
    own = loaded(folders["sibling"])
    problem = problem_for(recipe={"energies": energies}, prompts=PROMPTS, policy=own, sampler="best-of-n")
    assert model_of(problem.terms[0]) is own.model


@pytest.mark.parametrize("name", ["perplexity", "judge"])
def test_its_memory_is_released_with_the_run(name, folders):
    problem, _ = term_of(name, model=folders["sibling"], **(ASK if name == "judge" else {}))
    model = weakref.ref(model_of(problem.terms[0]))
    assert model() is not None
    del problem, _
    gc.collect()
    assert model() is None


def test_the_ledger_counts_their_tokens(folders):
    problem, term = term_of("perplexity", model=folders["sibling"])
    key, lm = next(k for k in problem.ledger.models if k.startswith("perplexity:")), loaded(folders["sibling"])
    spent = problem.ledger.models[key].forward
    looked_at = 5  # rows of the head, to see whether it is linear
    assert spent == len(PROMPTS) * max(map(len, lm.encode(PROMPTS, 8))) + looked_at  # padding is computed as well
    before = problem.ledger.models[key].flops
    term.score_text(PROMPTS, [["a" * 5]] * 3)
    assert problem.ledger.models[key].flops - before == 2.0 * 3 * (
        4 * parameters_used(lm.backbone.base) + 5 * lm.head_parameters
    )
    assert term.meter.flops_per_token == 2.0 * parameters_used(lm.model)
    problem, term = term_of("judge", model=folders["sibling"], **ASK)
    key = next(k for k in problem.ledger.models if k.startswith("judge:"))
    before = problem.ledger.models[key].flops
    term.score_text(PROMPTS, [["a" * 8]] * 3)
    assert problem.ledger.models[key].flops - before == pytest.approx(3 * 8 * term.meter.flops_per_token)
    assert problem.sample_flops > 8 * term.meter.flops_per_token


def test_a_text_only_energy_is_stated(folders):
    _, term = term_of("perplexity", model=folders["narrow"])
    assert not term.differentiable
    assert "another tokenizer" in term.bound.warnings[0]
    _, term = term_of("perplexity", model=folders["capped"])
    assert "logits" in term.bound.warnings[0]


def test_a_model_that_is_not_there_is_refused(tmp_path):
    for name in ("perplexity", "judge"):
        with pytest.raises(ModelError, match="sentiment is a reward model"):
            term_of(name, model="sentiment")
        with pytest.raises(ModelError, match="no model at"):
            term_of(name, model=str(tmp_path / "nowhere"))
