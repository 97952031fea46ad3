"""The real client of OpenAI against the server: what it asks for is what it gets."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import sea_toolkit as sea
from sea_toolkit.testing.tiny import tiny_policy
from tests.helpers import hub
from tests.serving.conftest import USER, Running, block, recipes


def chat(running: Running, **more: Any) -> Any:
    return running.client.chat.completions.create(**{"model": "tiny", "messages": USER, **more})


def ours(thing: Any) -> dict[str, Any]:
    """What stands under `sea`, which the client passes on."""
    return dict(thing.model_extra["sea"])


def test_models_are_listed_and_found_by_name(running: Running) -> None:
    names = [model.id for model in running.client.models.list()]
    assert names == ["tiny", "tiny+short", "tiny+endless", "tiny+wide", "tiny+drafted"]
    assert running.client.models.retrieve("tiny+short").id == "tiny+short"


def test_an_answer_is_that_of_a_direct_call(running: Running) -> None:
    direct = sea.align(USER, recipe=recipes()["short"], policy=tiny_policy(), hub=hub(), seed=3)
    answer = chat(running, seed=3, extra_body={"sea": {"isolated": True}})
    (choice,) = answer.choices
    assert choice.message.content == direct.response
    assert ours(choice)["energy"] == pytest.approx(direct.energy[1], abs=1e-4)
    assert ours(answer)["samples"] == direct.ledger["samples_per_prompt"]
    assert (ours(answer)["steps"], ours(answer)["status"]) == (direct.steps, "done")
    assert answer.usage.prompt_tokens == len(tiny_policy().encode([USER], 12)[0])
    assert answer.usage.completion_tokens == direct.candidates[0].tokens


def test_n_gives_the_best_distinct_texts_and_says_where_there_are_fewer(running: Running) -> None:
    choices = chat(running, n=3).choices
    texts, energies = [c.message.content for c in choices], [ours(c)["energy"] for c in choices]
    assert len(set(texts)) == 3
    assert energies == sorted(energies)
    lonely = chat(running, n=8, extra_body={"sea": {"steps": 1, "chains": 1, "sampler": "suffix-mh"}})
    assert len(lonely.choices) < 8
    assert any("n = 8" in note for note in ours(lonely)["notes"])


def test_the_same_seed_gives_the_same_answer_and_another_one_another(running: Running) -> None:
    first, again, other = (chat(running, seed=seed).choices[0].message.content for seed in (5, 5, 6))
    assert first == again != other


def test_temperature_0_starts_from_the_most_probable_answer(running: Running) -> None:
    greedy = sea.align(
        USER, recipe=recipes()["short"], policy=tiny_policy(), hub=hub(), initializer="greedy", max_new_tokens=5
    )
    found = chat(running, temperature=0, max_tokens=5, extra_body={"sea": {"isolated": True}})
    assert found.choices[0].message.content == greedy.response
    assert chat(running, temperature=0.5).choices[0].finish_reason in ("stop", "length")


def test_an_answer_ends_before_a_text_of_stop(running: Running) -> None:
    whole = chat(running, seed=3, n=1).choices[0]
    stop = whole.message.content[3]
    cut = chat(running, seed=3, stop=[stop, "~~~"])
    text = cut.choices[0].message.content
    assert text == whole.message.content.partition(stop)[0]
    assert cut.choices[0].finish_reason == "stop"
    assert ours(cut.choices[0])["cut"] is True
    assert any("cut at a text of stop" in note for note in ours(cut)["notes"])


def test_logprobs_are_those_of_the_text_that_is_given(running: Running) -> None:
    choice = chat(running, seed=3, logprobs=True).choices[0]
    tokens, text = choice.logprobs.content, choice.message.content
    assert b"".join(bytes(token.bytes) for token in tokens).decode() == text
    (scored,) = sea.score(
        [USER], [text], energies={"length": {"target": 1}}, finished=False, policy=tiny_policy(), hub=hub()
    )
    assert sum(token.logprob for token in tokens) == pytest.approx(-scored.nll, abs=1e-3)
    legacy = running.client.completions.create(model="tiny", prompt="the rain", logprobs=0).choices[0]
    assert "".join(legacy.logprobs.tokens) == legacy.text
    assert all(-math.inf < value <= 0 for value in legacy.logprobs.token_logprobs)


def test_a_text_is_continued_without_the_chat_template(running: Running) -> None:
    both = running.client.completions.create(model="tiny+short", prompt=["the rain", "a"])
    plain = tiny_policy().tokenizer("the rain").input_ids
    assert [choice.index for choice in both.choices] == [0, 1]
    assert both.usage.prompt_tokens < len(tiny_policy().encode([USER], 12)[0]) + 10
    assert both.usage.prompt_tokens >= len(plain) + 1


def test_a_conversation_with_a_system_turn_and_text_parts_is_read(running: Running) -> None:
    parts = [{"role": "developer", "content": "be brief"}, {"role": "user", "content": [{"type": "text", "text": "a"}]}]
    longer = chat(running, messages=parts).usage.prompt_tokens
    assert longer == len(tiny_policy().encode([[{"role": "system", "content": "be brief"},
                                                {"role": "user", "content": "a"}]], 12)[0])  # fmt: skip


def test_options_of_a_request_change_its_run_alone(running: Running) -> None:
    options = {"sampler": "best-of-n", "budget": 3, "energies": {"keywords": {"words": ["rain"], "weight": 2.0}}}
    answer = chat(running, extra_body={"sea": options})
    assert ours(answer)["sampler"] == "best-of-n"
    assert "keywords" in ours(answer.choices[0])["terms"]
    limited = chat(
        running, extra_body={"sea": {"constraints": [{"name": "length", "target": 3, "max": 1.0, "label": "few"}]}}
    )
    assert "few" in ours(limited.choices[0])["terms"]
    assert set(ours(chat(running).choices[0])["terms"]) == {"reference", "length"}


def test_equal_requests_share_a_run_and_one_that_is_alone_does_not(running: Running) -> None:
    def ask(word: str) -> Any:
        return ours(chat(running, messages=[{"role": "user", "content": word}]))["together"]

    waiting = running.server.worker.waiting
    blocker = block(running)
    with ThreadPoolExecutor(3) as pool:
        shared = [pool.submit(ask, word) for word in ("a", "an", "an")]
        assert running.until(lambda: len(waiting) == 3)
        blocker.close()
    assert [future.result() for future in shared] == [2, 2, 2]  # equal prompts are one
    assert ours(chat(running, extra_body={"sea": {"isolated": True}}))["together"] == 1


def test_a_stream_tells_how_far_it_is_then_the_whole_text_then_the_usage(running: Running) -> None:
    plain = chat(running, seed=3, n=2)
    options = {"steps": 4}
    events = list(chat(running, seed=3, n=2, stream=True, stream_options={"include_usage": True}))
    assert events[0].choices[0].delta.role == "assistant"
    texts = {c.index: c.delta.content for e in events for c in e.choices if c.delta.content}
    assert texts == {c.index: c.message.content for c in plain.choices}
    ends = [c.finish_reason for e in events for c in e.choices if c.finish_reason]
    assert ends == [c.finish_reason for c in plain.choices]
    assert events[-1].choices == []
    assert events[-1].usage.completion_tokens == plain.usage.completion_tokens
    drafts = [
        ours(e) for e in chat(running, stream=True, extra_body={"sea": options}) if "sea" in (e.model_extra or {})
    ]
    assert {"step", "energy", "draft"} <= set(drafts[0])


def test_the_best_so_far_is_the_answer_when_the_time_is_over(running: Running) -> None:
    answer = chat(running, model="tiny+endless", extra_body={"sea": {"max_seconds": 0.3}})
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "length"
    assert any("max_seconds = 0.3 is over" in note for note in ours(answer)["notes"])
