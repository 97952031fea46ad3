"""Texts that are there already get the numbers that a run gives the texts it meets."""

from __future__ import annotations

import json
from typing import Any

import pytest

import sea_toolkit as sea
from sea_toolkit.testing.setting import PROMPTS
from sea_toolkit.testing.tiny import tiny_policy, tiny_reward
from tests.helpers import hub

RECIPE: dict[str, Any] = {
    "energies": [{"name": "reference"}, {"name": "length", "target": 4, "weight": {"column": "short"}}],
    "constraints": [{"name": "regex", "pattern": "t", "max": 0.5}],
}
ENERGIES = {"reward": (4.0, tiny_reward())}
ROWS = [{"prompt": PROMPTS[0], "short": 2.0}, {"prompt": PROMPTS[1], "short": 0.5}]


def scorer(**more: Any) -> sea.Scorer:
    settings = {"recipe": RECIPE, "energies": ENERGIES, "policy": tiny_policy(), "hub": hub()}
    return sea.Scorer(**settings | more)


def read_again(one: Any) -> int:
    """Tokens of a candidate's text as it is read."""
    return len(tiny_policy().answers.encode([one.text])[0]) + one.finished


@pytest.fixture(scope="module")
def results() -> list[sea.Result]:
    return sea.align(
        ROWS, recipe=RECIPE, energies=ENERGIES, policy=tiny_policy(), hub=hub(), sampler="suffix-mh", chains=2,
        max_new_tokens=9, budget=12.0,
    )  # fmt: skip


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_the_texts_of_a_run_get_the_numbers_of_the_run(results: list[sea.Result], batch: int) -> None:
    met = [(row, one) for row, result in zip(ROWS, results, strict=True) for one in result.candidates]
    # a run charges a text for special tokens that it was drawn with, though nobody reads them
    met = [(row, one) for row, one in met if one.tokens == read_again(one)]
    assert len(met) > 6
    found = scorer(batch=batch).score(
        [row for row, _ in met], [one.text for _, one in met], finished=[one.finished for _, one in met]
    )
    for (_, mine), theirs in zip(met, found, strict=True):
        assert theirs.energy == pytest.approx(mine.energy, abs=1e-3)
        assert theirs.terms == pytest.approx(mine.terms, abs=1e-3)
        assert (theirs.text, theirs.finished, theirs.tokens) == (mine.text, mine.finished, mine.tokens)
        assert theirs.kept == (mine.violation == 0)
        assert theirs.energy == pytest.approx(sum(theirs.nats.values()), abs=1e-4)
        assert theirs.utility == pytest.approx(-theirs.nats["length"] - theirs.nats["reward"], abs=1e-4)
        assert theirs.rewards == pytest.approx({"reward": -theirs.terms["reward"]})
    assert {one.kept for one in found} == {True, False}


def test_a_cut_text_is_not_charged_for_an_end() -> None:
    whole, cut = (scorer().score(ROWS[:1], ["the cat"], finished=finished)[0] for finished in (True, False))
    assert whole.tokens == cut.tokens + 1
    assert whole.nll > cut.nll


def test_models_stay_with_the_scorer_and_an_empty_text_has_a_score() -> None:
    kept = scorer()
    first, again = (kept.score(ROWS, ["", "a dog"])[1].energy for _ in range(2))
    assert first == again
    json.dumps([one.to_dict() for one in kept.score(ROWS, ["", "a dog"])], allow_nan=False)


@pytest.mark.parametrize(
    ("prompts", "texts", "more", "message"),
    [
        (ROWS, ["one"], {}, "2 prompts and 1 texts"),
        (ROWS, "ab", {}, "texts are 'ab'"),
        (ROWS, ["a", "b"], {"finished": [True]}, "2 prompts and 1 values of finished"),
        ([], [], {}, "no prompts"),
        ([PROMPTS[0]], ["a"], {}, "short"),
    ],
)
def test_what_cannot_be_scored_is_said(prompts: Any, texts: Any, more: dict[str, Any], message: str) -> None:
    with pytest.raises(sea.RecipeError, match=message):
        scorer().score(prompts, texts, **more)


@pytest.mark.parametrize(
    ("energies", "message"),
    [
        ([{"name": "length", "target": 4, "scale": "base-std"}], "score needs one energy"),
        ([{"name": "diversity"}], "scored alone"),
    ],
)
def test_energies_that_need_a_run_are_refused(energies: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(sea.RecipeError, match=message):
        scorer(recipe={"energies": [{"name": "reference"}, *energies], "sampler": {"name": "sea"}})


def test_a_trainer_gets_the_weighted_reward_without_the_reference() -> None:
    function = sea.reward_function(scorer(), name="short")
    texts = ["the cat", "an owl sat"]
    talks = [[{"role": "assistant", "content": text}] for text in texts]
    asked = [[{"role": "user", "content": row["prompt"]}] for row in ROWS]
    columns = {"short": [row["short"] for row in ROWS], "completion_ids": [[1], [2, 3]], "trainer_state": None}
    found = function(prompts=asked, completions=talks, **columns)
    assert found == pytest.approx([one.utility for one in scorer().score(ROWS, texts)])
    assert function.__name__ == "short"
    with pytest.raises(sea.RecipeError, match="a completion is 7"):
        function(prompts=asked, completions=[7, 8], **columns)


def test_a_forbidden_text_has_no_reward_for_a_trainer() -> None:
    def strict(texts: list[str]) -> list[float]:
        return [float("inf") if "cat" in text else 1.0 for text in texts]

    function = sea.reward_function(scorer(recipe=None, energies={"strict": (1.0, strict)}))
    assert function(prompts=[PROMPTS[0]] * 2, completions=["the cat", "a dog"]) == [None, -1.0]
