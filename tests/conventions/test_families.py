"""Each family of chat models: what the model reads, what ends its answers, and that a text's ids are those it was
trained on."""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch

from sea_toolkit.lm.policy import Policy
from sea_toolkit.testing.tiny import tiny_model
from sea_toolkit.util.conversation import Message
from tests.conventions.families import FAMILIES
from tests.conventions.tokenizers import made
from tests.helpers import noise_for, problem_for, run_for

TEXTS = [
    "Rain falls from the clouds.",
    " Yes, it is.",
    "The a\n\nan  end ",
    ": no",
    ")1. it",
    "<s>no</s>",
    "café, ü",
    "",
]
family = pytest.mark.parametrize("name", FAMILIES)


@lru_cache(maxsize=32)
def policy_of(name):
    facts = FAMILIES[name]
    tokenizer = made(facts.kind, facts.special, bos=facts.bos, eos=facts.eos, template=facts.template)
    model = tiny_model("llama", vocab=len(tokenizer), tie_word_embeddings=False)
    model.generation_config.eos_token_id = [tokenizer.convert_tokens_to_ids(token) for token in facts.config]
    return Policy(model, tokenizer, name=name)


def turn(policy, answer):
    """Token ids of an answer as the family's training data had it: the whole conversation is cut at once."""
    question = Message("user", "Hi")
    before = policy.encode(["Hi"], 1)[0]
    text = policy.chat.render([question, Message("assistant", answer)])
    whole = policy.tokenizer(text, add_special_tokens=False).input_ids
    assert whole[: len(before)] == before
    return whole[len(before) :]


@family
def test_the_model_reads_the_familys_own_words(name):
    policy, facts = policy_of(name), FAMILIES[name]
    assert policy.chat.render([Message("user", "Hi")], add_generation_prompt=True) == facts.prompt
    (ids,) = policy.encode(["Hi"], 1)
    assert ids == policy.tokenizer(facts.prompt, add_special_tokens=False).input_ids
    if facts.bos is not None:
        assert ids.count(policy.tokenizer.bos_token_id) == facts.prompt.count(facts.bos)
    assert policy.chat.lead == facts.gap


@family
def test_every_token_that_ends_an_answer_counts(name):
    policy, facts = policy_of(name), FAMILIES[name]
    assert set(policy.tokenizer.convert_ids_to_tokens(list(policy.eos_ids))) == set(facts.ends)
    assert policy.tokenizer.convert_ids_to_tokens(policy.usual_end) == facts.usual
    assert bool(policy.notes) == facts.noted
    after = policy.chat.frame.after.strip()
    assert all(after.split("<|")[-1].rstrip("|>") in note for note in policy.notes)


@family
@pytest.mark.parametrize(
    "answer", ["Rain falls from the clouds.", "Paris", "1, 2 and 3.", "I think that it is so: yes!"]
)
def test_a_text_gets_the_ids_that_it_had_in_training(name, answer):
    policy = policy_of(name)
    expected = turn(policy, answer)
    (ids,) = policy.answers.encode([policy.as_answer(answer)])
    assert ids == expected[: len(ids)]
    end = next((i for i in expected[len(ids) :] if i in policy.eos_ids), policy.usual_end)
    assert end == policy.usual_end
    response = policy.from_text([[policy.as_answer(answer)]], torch.tensor([[True]]))
    assert response.ids[0, 0].tolist() == [*ids, end]


@family
def test_texts_and_their_ids_go_back_and_forth(name):
    policy = policy_of(name)
    texts = TEXTS[:2] if FAMILIES[name].kind == "unigram" else TEXTS  # which has no token for most of the others
    rows = policy.answers.encode(texts)
    assert [policy.decode(row) for row in rows] == texts
    assert policy.answers.encode([policy.decode(row) for row in rows]) == rows


@family
def test_an_ended_row_is_scored_with_the_token_that_ended_it(name):
    """Each end token of the family: −log π of the row as read is that of the row as drawn."""
    policy = policy_of(name)
    problem = problem_for(
        {"length": (1.0, lambda response: response.expected_length())},
        recipe={"energies": [{"name": "reference"}]}, policy=policy, prompts=["Hi"], max_new_tokens=24,
        chains=len(policy.eos_ids), sampler="best-of-n",
    )  # fmt: skip
    (ids,) = policy.answers.encode([policy.as_answer("Rain falls.")])
    rows = torch.full((1, len(policy.eos_ids), 24), policy.eos_ids[0])
    for c, end in enumerate(policy.eos_ids):
        rows[0, c, : len(ids) + 1] = torch.tensor([*ids, end])
    log_prob = policy.log_prob(problem.prefix, rows)
    spent = problem.ledger.models["policy"].forward
    known, fresh = problem.score_as_text(rows, log_prob), problem.score_as_text(rows)
    assert known.texts[0] == [policy.as_answer("Rain falls.")] * len(policy.eos_ids)
    assert bool(known.same.all())
    assert bool(fresh.same.all())
    before = policy.encode(["Hi"], 24)[0]
    for c, end in enumerate(policy.eos_ids):
        with torch.no_grad():
            logits = policy.model(input_ids=torch.tensor([[*before, *ids, end]])).logits[0].log_softmax(-1)
        steps = range(len(before), len(before) + len(ids) + 1)
        expected = -sum(float(logits[i - 1, token]) for i, token in zip(steps, [*ids, end], strict=True))
        assert float(known.nll[0, c]) == pytest.approx(expected, abs=1e-3)
        assert float(fresh.nll[0, c]) == pytest.approx(expected, abs=1e-3)
    assert problem.ledger.models["policy"].forward > spent  # of the second time alone
    assert known.ends.tolist() == [list(policy.eos_ids)]


@pytest.mark.parametrize("name", ["zephyr", "llama-2", "phi-3", "gemma-2", "llama-3", "unigram, chatml"])
def test_a_draft_starts_as_it_would_have_been_written(name):
    policy = policy_of(name)
    draft = "Rain falls from the clouds."
    problem = problem_for(
        {"length": (1.0, lambda response: response.expected_length())},
        recipe={"initializer": {"name": "draft", "text": draft}}, policy=policy, prompts=["Hi"], chains=2,
        max_new_tokens=40, sampler="suffix-mh",
    )  # fmt: skip
    start = problem.start(noise_for(problem)).ids[0, 0].tolist()
    ids = turn(policy, draft)
    assert start[: len(ids)][: start.index(policy.usual_end)] == ids[: start.index(policy.usual_end)]


@pytest.mark.parametrize("name", ["zephyr", "llama-2", "llama-3"])
def test_a_locked_beginning_is_the_template_s(name):
    policy = policy_of(name)
    locked = {"name": "prefilled", "text": "The capital", "locked": True}
    run = run_for(recipe={"initializer": locked}, policy=policy, prompts=["Hi"], sampler="best-of-n", steps=2)
    expected = turn(policy, "The capital")
    ids = run.problem.locked.ids.tolist()
    assert ids == expected[: len(ids)]
    (result,) = run.execute()
    assert all(c.text.startswith(policy.as_answer("The capital")) for c in result.candidates)
