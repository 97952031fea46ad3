"""A run says so when its sampler rejected everything, or when its budget was less than a step."""

from __future__ import annotations

import json

import pytest

from sea_toolkit.util import run_files
from tests.helpers import run_for


def notes_of(**settings):
    return [r.notes for r in run_for(**settings).execute()]


def climb(response):
    """Rises with every call, so that the new text is always worse than the old one."""
    climb.height += 1e6
    return climb.height + 0 * response.expected_length()


@pytest.mark.parametrize("sampler", ["suffix-mh", "tilted", "tilted-exact"])
def test_a_run_in_which_everything_was_rejected_says_so(sampler):
    climb.height = 0.0
    found = notes_of(energies={"climb": (1.0, climb)}, sampler=sampler, steps=3)
    for notes in found:
        assert [n.partition(":")[0] for n in notes if "rejected every proposal" in n] == ["prompt 1", "prompt 2"]
        assert any(f"{sampler} rejected every proposal of all chains in 3 steps" in n for n in notes)


@pytest.mark.parametrize("sampler", ["suffix-mh", "best-of-n"])
def test_a_run_that_moves_says_nothing(sampler):
    assert not any("rejected" in n for notes in notes_of(sampler=sampler, steps=6) for n in notes)


def test_what_was_accepted_before_a_stop_counts_after_it(tmp_path):
    run_for(tmp_path, sampler="suffix-mh", steps=6, stop_after=3).execute()
    again = run_for(tmp_path, sampler="suffix-mh", steps=6)
    again.resume()
    assert again.acceptance.steps == 3
    assert sum(again.acceptance.accepted) > 0
    again.execute()
    lines = [json.loads(line) for line in (tmp_path / run_files.TRACE).read_text().splitlines()]
    accepted = [line["accepted"] for line in lines if "accepted" in line]
    assert again.acceptance.steps == len(accepted) == 6
    assert again.acceptance.accepted == [sum(int(sum(step[p])) for step in accepted) for p in range(2)]


@pytest.mark.parametrize(
    ("budget", "steps", "words"), [(2, 0, "no step was taken"), (6.2, 1, "less than the start and one step cost: ")]
)
def test_a_budget_of_less_than_a_step_is_told(budget, steps, words):
    run = run_for(sampler="tilted", budget=budget, seed=5)
    assert all(any(words in n for n in result.notes) for result in run.execute())
    assert run.step == steps


def test_a_budget_for_some_steps_needs_no_words():
    assert not any("budget" in n for notes in notes_of(sampler="tilted", budget=30) for n in notes)
