"""Log π of each token of an answer: it adds up, and every token knows the bytes that it writes."""

from __future__ import annotations

import json

import pytest
import torch

from sea_toolkit.api import align
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.lm.policy import Policy
from sea_toolkit.runs.archive import Candidate
from sea_toolkit.runs.read_again import ReadTexts
from sea_toolkit.runs.result import Result
from sea_toolkit.testing.tiny import tiny_model, tiny_policy
from tests.conventions.tokenizers import made
from tests.helpers import hub, problem_for

TEXTS = ["the rain", "天气 é👩‍👩‍👧", "no: \u202e10\n", ""]


def short(response: SoftResponse) -> torch.Tensor:
    """The best text is one that has ended."""
    return response.expected_length()


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return align(
        ["the rain", "a town"], energies={"short": (9.0, short)}, sampler="best-of-n", budget=60, chains=4,
        max_new_tokens=6, policy=tiny_policy(), hub=hub(),
    )  # fmt: skip


def test_log_probs_add_up_to_the_nll_of_the_result(results: list[Result]) -> None:
    ends = set()
    for result in results:
        met = {(c.text, c.finished): c.tokens for c in result.candidates}
        texts = zip((result.base_response, result.response), result.finished, strict=True)
        for key, tokens, mean in zip(texts, result.tokens, result.nll_per_token, strict=True):
            if met[key] == len(tokens):  # it is charged for what is read
                assert sum(t.log_prob for t in tokens) == pytest.approx(-mean * len(tokens), abs=1e-4)
                assert (tokens[-1].text == "") == key[1]
                ends.add(key[1])
    assert ends == {True, False}


def test_the_tokens_write_the_answer_and_survive_json(results: list[Result]) -> None:
    for result in results:
        assert "".join(t.text for t in result.tokens[1]) == result.response
        assert Result.from_data(json.loads(result.to_json())) == result


@pytest.mark.parametrize("kind", ["byte-bpe", "spm-legacy", "unigram", "wordpiece"])
def test_each_token_knows_its_bytes_whatever_the_tokenizer(kind: str) -> None:
    tokenizer = made(kind)
    policy = Policy(tiny_model("llama", vocab=len(tokenizer)), tokenizer, name=kind, template="plain")
    problem = problem_for(
        {"short": (1.0, short)}, policy=policy, prompts=["the rain"],
        max_new_tokens=4, sampler="best-of-n",
    )  # fmt: skip
    end = policy.eos_ids[0]
    shown = [policy.decode(ids) for ids in policy.answers.encode(TEXTS)]  # as the tokenizer is able to write them
    texts = [Candidate(text, 0.0, {}, 0, True, 0, 0, end) for text in shown]
    read = ReadTexts.read(problem, [texts])
    for text, tokens, row, mask in zip(shown, read.tokens()[0], read.log_prob[0], read.mask[0], strict=True):
        raw = text.encode()
        assert b"".join(raw[slice(*t.span)] for t in tokens) == raw
        assert all(t.text == raw[slice(*t.span)].decode(errors="replace") for t in tokens)
        assert (tokens[-1].text, tokens[-1].span) == ("", (len(raw), len(raw)))
        torch.testing.assert_close(torch.tensor([t.log_prob for t in tokens]), row[mask])
