"""What is shown of a run while it goes: on a terminal, in a notebook, in a file."""

from __future__ import annotations

import io
import re
import sys
from itertools import pairwise

import pytest
from rich.console import Console

import sea_toolkit as sea
from sea_toolkit.models import loading
from sea_toolkit.reporting import live as module
from sea_toolkit.reporting import pace
from sea_toolkit.reporting.bar import Bar
from sea_toolkit.reporting.live import Lines, Live, display_for
from sea_toolkit.testing.tiny import tiny_model, tiny_policy, tiny_tokenizer
from tests.helpers import hub


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def event(kind="step", step=1, *, samples=0.0, steps=None, budget=40.0, text="Rain falls.\n\x1b[2J"):
    return sea.Event(
        kind=kind, run="r", step=step, steps=steps, budget=budget, progress=0.0, energy=[2.0, 4.0], samples=samples,
        texts=[text, "b"],
    )  # fmt: skip


def follow(live, clock, seconds=3.0, steps=12):
    """A run of equal steps that starts with 4 samples and takes 3 at each step."""
    live.progress(0, 0, "loading a-model")
    clock[0] += 8.0
    live.on_event(event("start", 0, samples=4.0))
    for step in range(1, steps + 1):
        clock[0] += seconds
        live.on_event(event(step=step, samples=4.0 + 3.0 * step))
    live.on_event(event("end", steps, samples=4.0 + 3.0 * steps))


def test_without_a_terminal_a_line_comes_at_once_at_the_first_step_and_every_ten_seconds(clock):
    stream = io.StringIO()
    with Live(Lines(stream)) as live:
        follow(live, clock)
    first, *lines = stream.getvalue().splitlines()
    assert first == "loading a-model …"
    assert lines[0] == (
        r"aligning 18%: step 1 · 7.0 of 40 samples · about 33 s left · energy 3.00 · Rain falls. \x1b[2J"
    )
    assert [re.search(r"step (\d+)", line)[1] for line in lines] == ["1", "5", "9"]
    assert [re.search(r"about (\d+) s", line)[1] for line in lines] == ["33", "21", "9"]


def test_without_a_terminal_a_command_of_less_than_ten_seconds_writes_nothing_and_a_long_step_is_not_silent(clock):
    stream = io.StringIO()
    lines = Lines(stream, wait=True)
    with Live(lines) as live:
        live.progress(0, 0, "loading a-model")
        clock[0] += 9.0
        live.on_event(event("start", 0))
        live.on_event(event(samples=3.0))
        assert stream.getvalue() == ""
        clock[0] += 2.0
        lines.write_if_due()  # as its thread does
        lines.write_if_due()
    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue().startswith("aligning 8%: step 1")
    clock[0] += 20.0
    lines.write_if_due()
    assert len(stream.getvalue().splitlines()) == 1, "nothing after the end"


def test_a_run_of_steps_has_a_total_too(clock):
    stream = io.StringIO()
    with Live(Lines(stream)) as live:
        live.on_event(event("start", 0, steps=4, budget=None))
        clock[0] += 60.0
        live.on_event(event(step=1, steps=4, budget=None))
    assert "aligning 25%: step 1 of 4 · about 3 min left" in stream.getvalue()


def test_a_notebook_has_one_line_that_changes(clock, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", module)
    stream = io.StringIO()
    with Live(display_for(stream)) as live:
        follow(live, clock, steps=3)
    written = stream.getvalue()
    assert written.endswith("\n")
    assert written.count("\n") == 1
    shown = written.strip("\n").split("\r")[1:]
    assert [re.search(r"step (\d+)|loading", line)[1] for line in shown] == [None, "1", "2", "3", "3"]
    assert all(len(new) >= len(old.rstrip()) for old, new in pairwise(shown)), "nothing is left over"


def test_a_terminal_of_80_columns_shows_step_total_time_left_and_the_best_text(clock):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80)
    bar = Bar(console)
    with Live(bar) as live:
        follow(live, clock, steps=0)
        live.on_event(event("start", 0, samples=4.0))
        clock[0] += 6.0
        live.on_event(event(step=2, samples=10.0))
        bar._bars.refresh()
        lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue()))
    assert any("aligning" in x and "step 2 · 10.0 of 40 samples · about 30 s left" in x for x in lines)
    assert any(x.startswith(r"energy 3.00 · Rain falls. \x1b[2J") for x in lines)
    assert not any("loading" in x for x in lines[-3:])


def test_an_evaluation_leaves_rows_of_an_earlier_command_out_of_its_speed(clock):
    stream = io.StringIO()
    with Live(Lines(stream)) as live:
        watch = live.watching("sweeping")
        watch(50.0, 100.0, "batch 1 of 2")
        clock[0] += 10.0
        watch(60.0, 100.0, "batch 1 of 2")
    assert stream.getvalue().splitlines()[-1] == "sweeping 60%: batch 1 of 2 · 60 of 100 samples · about 40 s left"


def test_a_display_never_ends_a_run():
    closed = io.StringIO()
    closed.close()
    with Live(Lines(closed)) as live:
        live.on_event(event())
    assert display_for(None) is None


@pytest.mark.parametrize(("seconds", "shown"), [(0.4, "0 s"), (89.0, "89 s"), (200, "3 min"), (7900, "2 h 12 min")])
def test_the_time_left_is_in_the_unit_one_would_say(seconds, shown):
    assert pace.time_left(seconds) == shown


def test_progress_in_python(capfd):
    seen, settings = [], {"energies": {"length": {"target": 3.0}}, "chains": 2, "steps": 2, "max_new_tokens": 4}
    aligner = sea.Aligner(policy=tiny_policy(), hub=hub(), progress=True)
    for _ in range(2):
        aligner.align("a", on_event=seen.append, **settings)
    out, err = capfd.readouterr()
    assert out == ""
    assert re.findall(r"step \d of \d", err) == ["step 1 of 2"] * 2
    assert [e.kind for e in seen] == ["start", "step", "step", "end"] * 2
    assert (seen[0].steps, seen[0].budget) == (2, None)
    sea.align("a", policy=tiny_policy(), hub=hub(), progress=False, **settings)
    assert capfd.readouterr().err == ""


def test_loading_is_told_before_the_weights_are_read_and_the_aligner_gives_its_policy(monkeypatch, tmp_path):
    tiny_model().save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    told = []
    read = loading.read_model
    monkeypatch.setattr(loading, "read_model", lambda *args, **more: told.append("read") or read(*args, **more))
    aligner = sea.Aligner(model=str(tmp_path), hub=hub(), progress=lambda *report: told.append(report))
    assert "not loaded" in repr(aligner)
    policy = aligner.policy
    assert aligner.policy is policy
    assert told == [(0, 0, f"loading {tmp_path}"), "read"]
    assert "not loaded" not in repr(aligner)
