"""A run ends by the clock or by somebody's wish between two tokens, keeps the best so far, and can be gone on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import sea_toolkit as sea
from sea_toolkit.testing.setting import PROMPTS
from sea_toolkit.testing.tiny import tiny_policy, tiny_reward
from tests.helpers import hub

SAMPLERS = ("suffix-mh", "smc", "args", "sea-adam")
REWARD = {"reward": (4.0, tiny_reward())}


def align(sampler: str = "suffix-mh", prompts: Any = PROMPTS[:2], **more: Any) -> Any:
    settings: dict[str, Any] = {"chains": 2, "max_new_tokens": 8, "budget": 24.0, "policy": tiny_policy()}
    return sea.align(prompts, sampler=sampler, energies=REWARD, hub=hub(), **settings | more)


class After:
    """True from the n-th time on that it is asked."""

    def __init__(self, times: int) -> None:
        self.times, self.asked = times, 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked >= self.times


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_each_sampler_ends_in_the_middle_and_goes_on_to_the_same_answer(sampler: str, tmp_path: Path) -> None:
    whole, often = align(sampler, out=tmp_path / "whole"), After(10**9)
    align(sampler, should_stop=often)
    assert often.asked >= whole[0].steps
    halted = align(sampler, should_stop=After(often.asked // 2 + 1), out=tmp_path / "halted")
    assert {result.status for result in halted} == {"stopped"}
    assert halted[0].steps < whole[0].steps
    assert any("stopped after" in note for note in halted[0].notes)
    resumed = sea.resume(tmp_path / "halted", energies=REWARD, hub=hub(), policy=tiny_policy())
    assert [(r.response, r.energy, r.steps) for r in resumed] == [(r.response, r.energy, r.steps) for r in whole]
    assert {result.status for result in resumed} == {"done"}


def test_every_prompt_gets_the_answers_that_its_chains_start_with() -> None:
    results = align(max_seconds=1e-9, prompts=PROMPTS[:3], batch=1)
    assert [(result.status, result.steps) for result in results] == [("stopped", 0)] * 3
    assert all(len(result.candidates) >= 1 for result in results)
    assert all(any("max_seconds = 1e-09 is over" in note for note in result.notes) for result in results)


def test_it_is_asked_between_tokens() -> None:
    often = After(10**9)
    (result, _) = align("suffix-mh", should_stop=often)
    assert often.asked > 3 * result.steps


def test_time_that_is_not_used_up_changes_nothing() -> None:
    plain, bounded = align(), align(max_seconds=1e6, should_stop=lambda: False)
    assert [(r.response, r.energy, r.status) for r in plain] == [(r.response, r.energy, r.status) for r in bounded]


@pytest.mark.parametrize("wrong", [0, -1.0, float("inf"), float("nan"), True])
def test_no_number_of_seconds_is_refused(wrong: Any) -> None:
    with pytest.raises(sea.RecipeError, match="max_seconds"):
        align(max_seconds=wrong)


@pytest.mark.parametrize("times", [9, 13])
def test_what_should_stop_raises_reaches_the_caller_with_the_results(times: int) -> None:
    calls = After(times)

    def broken() -> bool:
        if calls():  # before a step; and between two tokens, where no sampler is at fault
            raise RuntimeError("the line is dead")
        return False

    with pytest.raises(RuntimeError, match=r"^the line is dead$") as caught:
        align(should_stop=broken)
    assert len(vars(caught.value)["results"]) == 2


def test_what_should_stop_raises_ends_the_drawing_of_the_first_answers_too() -> None:
    calls = After(3)

    def broken() -> bool:
        if calls():
            raise RuntimeError("nobody waits any more")
        return False

    with pytest.raises(RuntimeError, match="nobody waits") as caught:
        align(should_stop=broken)
    assert calls.asked == 3
    assert "results" not in vars(caught.value)
