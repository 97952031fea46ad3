"""The initializer `neighbors`: another run's answers, by the prompt's text."""

from __future__ import annotations

import json

import pytest
import torch

from sea_toolkit.errors import RecipeError
from sea_toolkit.testing import Setting, check_initializer
from sea_toolkit.testing.initializers import PROPERTIES as INITIALIZER
from sea_toolkit.testing.tiny import EOS
from tests.helpers import PROMPTS, hub, noise_for, problem_for, run_for, tiny_policy, warmth

OWN = {"warmth": (4.0, warmth)}


def folder_of(path, answers):
    """A run's folder with the given answers: prompt → (text, finished)."""
    path.mkdir(exist_ok=True)
    results = [
        {"prompt": p, "candidates": [{"text": t, "finished": f} for t, f in texts]} for p, texts in answers.items()
    ]
    (path / "result.json").write_text(json.dumps(results))
    return str(path)


def texts_of(run, prompts=PROMPTS, chains=3, **settings):
    recipe = {"initializer": {"name": "neighbors", "run": run}}
    problem = problem_for(OWN, recipe=recipe, prompts=prompts, chains=chains, **settings)
    ids = problem.start(noise_for(problem)).ids
    return problem.policy.text(ids), ids


@pytest.fixture
def run(tmp_path):
    some = [("the rain", True), ("is it on", True), ("the rain", False), ("an error", True), ("a", True)]
    return folder_of(tmp_path / "run", {p: some if p == PROMPTS[0] else some[:2][::-1] + some[2:] for p in PROMPTS})


def test_it_keeps_its_promises(run):
    held = check_initializer("neighbors", Setting(hub=hub()), run=run)
    assert set(held) == set(INITIALIZER) - {"log π"}


def test_chains_take_the_best_different_texts_of_their_prompt(run):
    texts, ids = texts_of(run, prompts=[PROMPTS[1], PROMPTS[0]], chains=3)
    assert texts == [["is it on", "the rain", "an error"], ["the rain", "is it on", "an error"]]
    assert ids[1, 0, -1] == EOS


def test_more_chains_than_texts_begin_again(run):
    texts, _ = texts_of(run, prompts=PROMPTS[:1], chains=6)
    assert texts == [["the rain", "is it on", "an error", "a", "the rain", "is it on"]]


def test_what_was_cut_off_goes_on_as_the_policy_likes(tmp_path):
    run = folder_of(tmp_path, {PROMPTS[0]: [("the rain", False), ("a", True), ("on and", False)]})
    texts, ids = texts_of(run, prompts=PROMPTS[:1])
    assert texts[0][1] == "a"
    policy = tiny_policy()
    before = policy.encode(PROMPTS[:1], 10)[0]
    for c, text in ((0, "the rain"), (2, "on and")):
        assert texts[0][c].startswith(text)
        written = policy.tokenizer(text, add_special_tokens=False).input_ids
        while len(written) < 10 and written[-1] != EOS:
            with torch.no_grad():
                written.append(int(policy.model(input_ids=torch.tensor([[*before, *written]])).logits[0, -1].argmax()))
        assert ids[0, c, : len(written)].tolist() == written


def test_longer_texts_are_passed_over(tmp_path):
    long = "the rain in the town is on and off"
    run = folder_of(tmp_path, {PROMPTS[0]: [(long, True), ("", False), ("a", True)]})
    assert texts_of(run, prompts=PROMPTS[:1], chains=2)[0] == [["a", "a"]]
    run = folder_of(tmp_path, {PROMPTS[0]: [(long, True)]})
    with pytest.raises(RecipeError, match="each has more tokens"):
        texts_of(run, prompts=PROMPTS[:1])


def test_a_real_run_hands_its_answers_on(tmp_path):
    first = run_for(tmp_path, sampler="best-of-n", steps=3, chains=4).execute()
    recipe = {"initializer": {"name": "neighbors", "run": str(tmp_path)}}
    second = run_for(recipe=recipe, sampler="suffix-mh", steps=2, chains=2).execute()
    for a, b in zip(first, second, strict=True):
        assert b.base_response.startswith(a.response)
        if a.candidates[0].finished or a.candidates[0].tokens == 10:  # else it was cut off, and has room
            assert b.energy[0] == pytest.approx(a.energy[1], rel=1e-4)
    assert any(b.base_response == a.response for a, b in zip(first, second, strict=True))


def test_a_prompt_that_is_not_there_is_named(run):
    with pytest.raises(RecipeError, match=r"no answer to the prompt 'who\?'") as caught:
        texts_of(run, prompts=["who?"])
    assert PROMPTS[0] in str(caught.value)


def test_folders_that_are_no_runs_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="cannot use the run") as caught:
        texts_of(str(tmp_path / "nowhere"))
    assert "result.json" in str(caught.value)
    (tmp_path / "result.json").write_text("[{")
    with pytest.raises(RecipeError, match="damaged"):
        texts_of(str(tmp_path))
    for content in ("[]", "{}", '["a"]', '[{"prompt": "a"}]', "3"):
        (tmp_path / "result.json").write_text(content)
        with pytest.raises(RecipeError, match="no list of answers"):
            texts_of(str(tmp_path))
