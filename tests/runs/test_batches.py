"""`batch`: a few prompts at a time give what all of them together give, as far as that is promised."""

from __future__ import annotations

import pytest

from sea_toolkit.aligner import Aligner
from sea_toolkit.errors import RecipeError
from sea_toolkit.runs.batches import in_batches, run_batches
from sea_toolkit.runs.result import Interrupted
from sea_toolkit.util.conversation import as_prompts
from tests.helpers import hub, tiny_policy, warmth

PROMPTS = ["a", "the rain", "a", "in and on", "a"]
SETTINGS = {"energies": {"warmth": (4.0, warmth)}, "sampler": "best-of-n", "chains": 2, "steps": 2, "max_new_tokens": 6}


def test_each_prompt_has_the_answer_that_it_has_among_all_also_one_that_is_given_again():
    aligner = Aligner(policy=tiny_policy(), hub=hub())
    together = aligner.align(PROMPTS, rewrite={"samples": 1, "prompt": "{response}"}, **SETTINGS)
    apart = aligner.align(PROMPTS, rewrite={"samples": 1, "prompt": "{response}"}, batch=2, **SETTINGS)
    assert [r.prompt for r in apart] == PROMPTS
    assert [[c.text for c in r.candidates] for r in apart] == [[c.text for c in r.candidates] for r in together]
    assert len({r.base_response for r in apart}) == 5
    assert len({id(r.ledger) for r in apart}) == 3


@pytest.mark.parametrize("batch", [0, -1, True])
def test_a_batch_is_a_number_of_prompts(batch):
    with pytest.raises(RecipeError, match="a whole number above 0"):
        in_batches([], batch)


def test_what_belongs_to_one_run_is_refused_before_a_model_is_read(tmp_path):
    aligner = Aligner(policy=tiny_policy(), hub=hub())
    with pytest.raises(RecipeError, match="would hold one run, and 3 batches"):
        aligner.align(PROMPTS, batch=2, out=tmp_path / "run", **SETTINGS)
    assert not (tmp_path / "run").exists()
    with pytest.raises(RecipeError, match="a list of texts to begin with"):
        aligner.align(PROMPTS, batch=2, draft=["x"] * 5, **SETTINGS)


@pytest.mark.parametrize("has_answer", [True, False])
def test_ctrl_c_keeps_the_batches_that_are_done(has_answer):
    done = Aligner(policy=tiny_policy(), hub=hub()).align("a", **SETTINGS)

    def run(prompts, occurrences):
        if prompts == ["r"]:
            raise Interrupted([done]) if has_answer else KeyboardInterrupt
        return [done, done]

    with pytest.raises(Interrupted) as caught:
        run_batches([as_prompts(["p", "q"]), as_prompts(["r"])], run)
    assert len(caught.value.results) == 2 + has_answer


@pytest.mark.parametrize("wrong", [{"checkpoint_every": 0}, {"checkpoint_every": -1}, {"batch": 0}, {"batch": True}])
def test_counts_are_whole_numbers_above_0(wrong: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match="= "):
        Aligner(policy=tiny_policy(), hub=hub()).align(PROMPTS, **SETTINGS | wrong)
