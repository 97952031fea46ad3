"""Ctrl-C in Python: the best so far is returned; twice, or on request, it is raised in one line."""

from __future__ import annotations

import warnings

import pytest

import sea_toolkit as sea
from sea_toolkit.runs import interruption
from sea_toolkit.testing.tiny import tiny_policy
from tests.helpers import hub, warmth

SETTINGS = {"sampler": "best-of-n", "chains": 2, "steps": 9, "max_new_tokens": 6}
ENERGIES = {"warmth": (1.0, warmth)}


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A clock that stands still until it is moved; the press before the first one was long ago."""
    now = [1000.0]
    monkeypatch.setattr(interruption.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(interruption._Latest, "at", float("-inf"))
    return now


def press_at(step):
    def on_event(event):
        if event.kind == "step" and event.step == step:
            raise KeyboardInterrupt

    return on_event


def align(**more):
    return sea.align("a", policy=tiny_policy(), hub=hub(), energies=ENERGIES, **{**SETTINGS, **more})


def test_the_best_so_far_is_returned_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match=r"interrupted after 3 steps: this is the best so far; .*resume\("):
        result = align(on_event=press_at(3), out=tmp_path)
    assert (result.status, result.steps) == ("interrupted", 3)
    assert result.energy[1] <= result.energy[0]
    (again,) = sea.resume(tmp_path, policy=tiny_policy(), hub=hub(), energies=ENERGIES)
    assert (again.status, again.steps, again.response) == ("done", 9, align().response)


def test_aligner_resume_and_several_prompts_are_alike(tmp_path):
    aligner = sea.Aligner(policy=tiny_policy(), hub=hub())
    with pytest.warns(UserWarning, match="after 1 step:"):
        results = aligner.align(["a", "b"], energies=ENERGIES, on_event=press_at(1), out=tmp_path, **SETTINGS)
    assert [r.status for r in results] == ["interrupted"] * 2
    interruption._Latest.at = float("-inf")
    with pytest.warns(UserWarning, match="after 4 steps"):
        results = sea.resume(tmp_path, policy=tiny_policy(), hub=hub(), energies=ENERGIES, on_event=press_at(4))
    assert [r.steps for r in results] == [4, 4]


@pytest.mark.parametrize("again", [False, True])
def test_raised_it_is_one_line_with_the_results(again, clock):
    if again:
        with pytest.warns(UserWarning, match="after 1 step"):
            align(on_event=press_at(1))
        clock[0] += interruption.AGAIN / 2
    with pytest.raises(sea.Interrupted, match=r"^interrupted after 2 steps: \.results has the best so far$") as stop:
        align(on_event=press_at(2), on_interrupt="return" if again else "raise")
    assert stop.value.results[0].steps == 2
    assert stop.value.__suppress_context__, "the traceback of the step is of no use to the reader"
    clock[0] += interruption.AGAIN * 2
    with pytest.warns(UserWarning, match="after 1 step"):
        assert align(on_event=press_at(1)).status == "interrupted"


def test_before_the_first_answer_there_is_nothing_to_return():
    def pressed(prompts, texts):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="before the first answer: there is no result") as stop:
        align(reward=pressed)
    assert not isinstance(stop.value, sea.Interrupted)


@pytest.mark.parametrize("on_interrupt", ["return", "raise"])
def test_compare_gives_the_report_of_what_is_finished(on_interrupt):
    calls = []

    def watch(done, total, what):
        calls.append(what)
        if "batch 2" in what:
            raise KeyboardInterrupt

    def run():
        return sea.compare(
            ["a", "b"], samplers=["best-of-n"], budgets=[2], energies=ENERGIES, policy=tiny_policy(), hub=hub(),
            batch=1, watch=watch, max_new_tokens=4, on_interrupt=on_interrupt,
        )  # fmt: skip

    if on_interrupt == "raise":
        with pytest.raises(KeyboardInterrupt):
            run()
        return
    with pytest.warns(UserWarning, match="1 of 2 prompts are finished"):
        report = run()
    assert report.status == "interrupted"
    assert (report.data()["prompts"], len(report.data()["cells"])) == (1, 2)
    assert "1 of 2 prompts (interrupted)" in repr(report)


def test_nothing_is_told_of_a_run_that_ends_by_itself():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert align().status == "done"
