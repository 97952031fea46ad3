"""A run says so when its sampler rejected everything, or when its budget was less than a step."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from torch import Tensor

from sea_toolkit.lm.decoding import decode
from sea_toolkit.samplers.base import Info, Law, Sampler
from sea_toolkit.testing.setting import registered
from sea_toolkit.util import run_files
from tests.helpers import hub, run_for


def notes_of(**settings):
    return [r.notes for r in run_for(**settings).execute()]


def climb(response):
    """Rises with every call, so that the new text is always worse than the old one."""
    climb.height += 1e6
    return climb.height + 0 * response.expected_length()


@pytest.mark.parametrize("sampler", ["suffix-mh", "tilted", "mala"])
def test_a_run_in_which_everything_was_rejected_says_so_with_hints_that_fit_the_sampler(sampler):
    climb.height = 0.0
    hint = "smaller step_size or weights" if sampler == "mala" else "smaller inverse_temperature or weights"
    for notes in notes_of(energies={"climb": (1.0, climb)}, sampler=sampler, steps=5):
        (note,) = [n for n in notes if "rejected every proposal" in n]
        assert note.endswith(f"{sampler} rejected every proposal of all chains in 5 steps: {hint} would accept more")


def test_one_step_tells_nothing_about_the_options():
    climb.height = 0.0
    for notes in notes_of(energies={"climb": (1.0, climb)}, sampler="tilted", steps=1):
        (note,) = [n for n in notes if "rejected every proposal" in n]
        assert note.endswith("of all chains in 1 step: too few to tell why; more steps would tell")


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


def test_a_budget_of_less_than_a_step_is_told():
    run = run_for(sampler="tilted", budget=4, chains=4, seed=5)
    found = [result.notes for result in run.execute()]
    assert run.step == 0
    assert all(any(n.startswith("no step was taken") and "or fewer chains" in n for n in notes) for notes in found)


@dataclass(frozen=True)
class State:
    ids: Tensor


class Dear(Sampler):
    """Draws ten answers in each step and does not say so."""

    state_type = State
    law = Law.none()

    def init(self, problem, noise):
        start = problem.start(noise)
        return State(start.ids), Info(problem.score_as_text(start.ids, start.log_prob))

    def step(self, problem, state, noise):
        for _ in range(10):
            drawn = decode(problem.policy, problem.prefix, noise.uniform(1, problem.length), ledger=problem.ledger)
        return state, Info(problem.score_as_text(drawn.ids, drawn.log_prob))

    def current(self, problem, state):
        return state.ids


def test_what_was_spent_beyond_the_budget_is_told():
    with registered("sampler", Dear, hub()) as (plugins, item):
        (first, _) = notes_of(sampler=item.qualified, budget=4, chains=1, plugins=plugins)
    assert any("samples were spent, and the budget is 4" in n for n in first)


def test_a_budget_for_some_steps_needs_no_words():
    assert not any("step was taken" in n or "samples were" in n for n in notes_of(sampler="tilted", budget=30)[0])
