"""Each kind of tokenizer: text behind a plain prompt, at the start of a text, and between special tokens."""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch

from sea_toolkit.lm.policy import Policy
from sea_toolkit.lm.tokens import TextCodec, after_context, middle_of_text, opened, start_of_text
from sea_toolkit.testing.tiny import tiny_model
from tests.conventions.tokenizers import KINDS, made
from tests.helpers import problem_for

SPACED = ("prefix-space-bpe", "spm-legacy", "spm-first", "unigram")
"""Kinds that write a space in front of a text."""
OWN = {"length": (1.0, lambda response: response.expected_length())}


@lru_cache(maxsize=16)
def policy_of(kind, around=""):
    tokenizer = made(kind, around=around)
    return Policy(tiny_model("llama", vocab=len(tokenizer)), tokenizer, name=kind, template="plain")


@pytest.mark.parametrize("kind", [*KINDS, "byt5"])
def test_only_tokenizers_that_write_a_space_need_an_anchor(kind):
    tokenizer = made(kind)
    assert bool(middle_of_text(tokenizer).anchors) == (kind in SPACED)


@pytest.mark.parametrize("kind", ["byte-bpe", "spm-plain", "byt5"])
def test_other_tokenizers_cut_a_text_as_if_it_stood_alone(kind):
    tokenizer = made(kind)
    for text in ("the rain", " the rain", "\n\nit", "ing", "é", "<s>"):
        alone = tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
        assert after_context(tokenizer, "What is").encode([text]) == [alone]


@pytest.mark.parametrize("kind", SPACED)
@pytest.mark.parametrize("text", ["the rain falls", " the rain falls", "1 of 2", " is not so: it is"])
def test_behind_a_plain_prompt_a_text_is_cut_as_in_the_whole(kind, text):
    tokenizer, prompt = made(kind), "Tell me about rain."
    before = tokenizer(prompt, add_special_tokens=False).input_ids
    whole = tokenizer(prompt + text, add_special_tokens=False).input_ids
    assert whole[: len(before)] == before
    codec = after_context(tokenizer, prompt)
    assert codec.encode([text]) == [whole[len(before) :]]
    assert codec.decode(whole[len(before) :]) == text


@pytest.mark.parametrize("kind", SPACED)
def test_where_text_and_prompt_would_merge_the_prompts_tokens_stand(kind):
    """ "it is no" + "t so" is cut otherwise as a whole; the policy has read "it is no" already."""
    tokenizer = made(kind)
    prompt, text = "it is no", "t so"
    codec = after_context(tokenizer, prompt)
    (ids,) = codec.encode([text])
    assert codec.decode(ids) == text
    assert tokenizer.decode([*tokenizer(prompt, add_special_tokens=False).input_ids, *ids]).strip() == prompt + text


@pytest.mark.parametrize("kind", SPACED)
def test_at_the_start_of_a_text_the_space_is_written(kind):
    tokenizer = made(kind)
    alone = tokenizer("the rain", add_special_tokens=False).input_ids
    assert start_of_text(tokenizer).encode(["the rain"]) == [alone] == after_context(tokenizer, "").encode(["the rain"])
    assert middle_of_text(tokenizer).encode([" the rain"]) == [alone]


def test_after_a_special_token_each_tokenizer_has_its_own_rule():
    text = ["the rain"]
    for kind, spaced in (("spm-legacy", True), ("spm-first", False)):
        tokenizer = made(kind)
        whole = tokenizer("hello</s>the rain", add_special_tokens=False).input_ids
        ids = whole[whole.index(tokenizer.eos_token_id) + 1 :]
        assert after_context(tokenizer, "hello</s>").encode(text) == [ids]
        assert (ids == tokenizer("the rain", add_special_tokens=False).input_ids) is spaced


def test_a_text_that_merges_with_one_anchor_goes_behind_the_next():
    tokenizer = made("spm-legacy")
    merging = next(text for text in ("s", "t", ")", ":", "h", "e") if _merges("a", text, tokenizer))
    codec = middle_of_text(tokenizer)
    last = TextCodec(tokenizer, tuple(sorted(codec.anchors, key=lambda anchor: anchor.text != "a")))
    assert last.anchors[0].text == "a"
    assert last.encode([merging, "1"]) == codec.encode([merging, "1"])
    assert [last.decode(ids) for ids in last.encode([merging, "1"])] == [merging, "1"]


def _merges(anchor, text, tokenizer):
    before = tokenizer(anchor, add_special_tokens=False).input_ids
    return tokenizer(anchor + text, add_special_tokens=False).input_ids[: len(before)] != before


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "wordpiece"])
@pytest.mark.parametrize("around", ["", "<s> $A", "$A </s>", "<s> $A </s>"])
def test_a_plain_prompt_is_opened_once_and_never_ended(kind, around):
    policy = policy_of(kind, around)
    inner = policy.tokenizer("Tell me about rain.", add_special_tokens=False).input_ids
    start = [policy.tokenizer.bos_token_id] if around.startswith("<s>") else []
    assert policy.encode(["Tell me about rain."], 4) == [[*start, *inner]]
    (typed,) = policy.encode(["<s>Tell me about rain."], 4)
    assert typed.count(policy.tokenizer.bos_token_id) == 1
    assert opened(policy.tokenizer, "") == start


def test_an_unconditioned_perplexity_reads_no_end_of_text_first():
    policy = policy_of("unigram", "<s> $A </s>")
    problem = problem_for(OWN, policy=policy, recipe={"energies": [{"name": "perplexity", "conditioned": False}]})
    term = next(t for t in problem.terms if t.label == "perplexity")
    (ids,) = policy.answers.encode([" the rain"])
    row = [policy.tokenizer.bos_token_id, *ids]
    with torch.no_grad():
        logits = policy.model(input_ids=torch.tensor([row])).logits[0].log_softmax(-1)
    expected = -sum(float(logits[i, token]) for i, token in enumerate(ids)) / len(ids)
    assert float(term.bound.score_text(problem.prompts, [" the rain"])[0]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", [*KINDS, "byt5"])
def test_many_texts_are_cut_like_each_of_them(kind):
    policy = policy_of(kind)
    texts = ["the rain", "", " it is", "no", ":x", "a" * 40]
    together = policy.answers.encode(texts)
    assert together == [policy.answers.encode([text])[0] for text in texts]
    assert together[1] == []
    finished = torch.tensor([[True, True, False], [False, True, False]])
    response = policy.from_text([texts[:3], texts[3:]], finished)
    lengths = [len(row) + done for row, done in zip(together, finished.flatten().tolist(), strict=True)]
    assert response.expected_length().flatten().tolist() == lengths


def test_ends_that_the_model_does_not_have_are_left_out_with_a_note():
    tokenizer = made("byte-bpe")
    model = tiny_model("llama", vocab=len(tokenizer))
    model.generation_config.eos_token_id = [-1, 128009, tokenizer.eos_token_id]
    policy = Policy(model, tokenizer, name="m", template="plain")
    assert policy.eos_ids == (tokenizer.eos_token_id,)
    assert "[-1, 128009]" in policy.notes[0]


def test_texts_of_more_tokens_than_the_policy_has_positions_keep_those_they_were_drawn_in():
    """Drawn letter by letter to the last position: as text each answer has fewer tokens, or more."""
    tokenizer = made("byte-bpe")
    model = tiny_model("gpt2", vocab=len(tokenizer), n_positions=24)
    policy = Policy(model, tokenizer, name="gpt2", template="plain")
    prompts = ["the rain", "the rain falls from the clouds. it is"]
    lengths = [len(row) for row in policy.encode(prompts, 1)]
    room = 24 - max(lengths)
    broken = tokenizer("é", add_special_tokens=False).input_ids[0]  # half a character: read as � of three bytes
    assert len(policy.answers.encode(["�" * room])[0]) > room
    ids = torch.full((2, 2, room), broken)
    ids[1, 1] = tokenizer("a", add_special_tokens=False).input_ids[0]
    recipe = {"energies": [{"name": "reference"}]}
    problem = problem_for(OWN, recipe=recipe, policy=policy, prompts=prompts, max_new_tokens=room, sampler="best-of-n")
    scored = problem.score_as_text(ids)
    log_prob = policy.log_prob(problem.prefix, ids).sum(-1)
    alone = [
        problem_for(
            OWN, recipe=recipe, policy=policy, prompts=[p], max_new_tokens=room, sampler="best-of-n"
        ).score_as_text(ids[i : i + 1])
        for i, p in enumerate(prompts)
    ]
    torch.testing.assert_close(scored.nll, torch.cat([a.nll for a in alone]), atol=1e-3, rtol=1e-4)
    assert bool(scored.same[1, 0])
    assert float(scored.nll[1, 0]) == pytest.approx(-float(log_prob[1, 0]), abs=1e-3)
