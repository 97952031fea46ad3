"""Schedules that follow the run: what they are told, whose state they keep, and where they may not stand."""

from __future__ import annotations

import json
import math

import pytest
import torch

import sea_toolkit as sea
from sea_toolkit.errors import PluginError, RecipeError
from sea_toolkit.registry.blame import Owner
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs.result import Interrupted
from sea_toolkit.schedules.reactive import Observation, ReactiveSchedule
from sea_toolkit.util import run_files
from tests.helpers import problem_for, run_for
from tests.runs.test_resume import assert_same

ADAPTIVE = {"schedule": "adaptive", "start": 1.0, "target": 0.5, "warmup": 0.6}
PLATEAU = {"schedule": "plateau", "start": 5.0, "factor": 0.7, "patience": 2}
WHERE = {
    "suffix-mh": {"inverse_temperature": ADAPTIVE},
    "tilted": {"strength": ADAPTIVE, "inverse_temperature": PLATEAU},
    "tilted-exact": {"strength": ADAPTIVE},
    "discrete-langevin": {"step_size": ADAPTIVE | {"start": 0.05}},
    "mala": {"step_size": ADAPTIVE | {"start": 0.01}, "temperature": PLATEAU},
    "psgld": {"step_size": ADAPTIVE | {"start": 0.3, "target": 0.9, "metric": "would_accept"}},
    "sea": {"step_size": PLATEAU},
}


class Counter:
    """Counts what it is told; `observe` may be made to fail."""

    def __init__(self, *, start: float = 0.0):
        self.start, self.seen = start, []

    def at(self, progress, step):
        return self.start + len(self.seen)

    def observe(self, seen):
        self.seen.append([seen.step, seen.best_energy, dict(seen.metrics)])

    def state(self):
        return {"seen": self.seen}

    def load_state(self, state):
        self.seen = state["seen"]


def settings(sampler, **more):
    return {"sampler": {"name": sampler, **WHERE[sampler]}, "steps": 8, "chains": 2} | more


@pytest.mark.parametrize("sampler", WHERE)
def test_a_run_that_is_resumed_equals_one_in_one_piece(sampler, tmp_path):
    run_for(tmp_path / "whole", **settings(sampler)).execute()
    run_for(tmp_path / "cut", stop_after=3, **settings(sampler)).execute()
    again = run_for(tmp_path / "cut", **settings(sampler))
    again.resume()
    again.execute()
    assert_same(tmp_path / "whole", tmp_path / "cut")
    lines = [json.loads(line) for line in (tmp_path / "whole" / run_files.TRACE).read_text().splitlines()]
    values = [line["schedules"] for line in lines if not line.get("last")]
    assert set(values[0]) == {f"sampler.{k}" for k in WHERE[sampler]}
    assert len({json.dumps(v) for v in values}) > 2, "the numbers moved"


def test_an_interrupted_step_is_observed_once(tmp_path, monkeypatch):
    run_for(tmp_path / "whole", **settings("suffix-mh")).execute()
    run = run_for(tmp_path / "cut", **settings("suffix-mh"))
    [schedule] = run.schedules.schedules.values()
    plain, calls = schedule.observe, []

    def interrupted(seen):
        plain(seen)
        calls.append(seen.step)
        if len(calls) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(schedule, "observe", interrupted)
    with pytest.raises(Interrupted):
        run.execute()
    again = run_for(tmp_path / "cut", **settings("suffix-mh"))
    again.resume()
    assert again.step == 3
    again.execute()
    assert_same(tmp_path / "whole", tmp_path / "cut")


def test_what_a_schedule_is_told():
    class Plugin:
        @sea.hookimpl
        def sea_register_schedules(self, register):
            register("counter", Counter)

    plugins = PluginHub.discover(plugins=())
    with plugins.temporarily(Plugin(), name="counter"):
        recipe = {"energies": [{"name": "reference"}, {"name": "length", "target": 4.0}]}
        options = {"strength": {"schedule": "counter", "start": 2.0}, "inverse_temperature": {"schedule": "counter"}}
        options["inverse_temperature"]["start"] = 1.0
        seen_metrics = []
        run = run_for(
            sampler={"name": "tilted", **options}, steps=4, recipe=recipe, energies={}, plugins=plugins,
            on_event=lambda e: seen_metrics.append(e.metrics) if e.kind == "step" else None,
        )  # fmt: skip
        results = run.execute()
        strength, beta = (run.schedules.schedules[f"sampler.{k}"].state()["seen"] for k in options)
    assert strength == beta
    assert [s[0] for s in strength] == [0, 1, 2, 3]
    energies = [s[1] for s in strength]
    assert energies == sorted(energies, reverse=True)
    assert energies[-1] == pytest.approx(sum(r.energy[1] for r in results) / 2)
    for (_, _, told), metrics in zip(strength, seen_metrics, strict=True):
        assert set(told) == set(metrics)
        assert told["acceptance"] == pytest.approx(float(torch.tensor(metrics["acceptance"]).mean()))


def test_stopped_chains_are_left_out_of_the_means():
    run = run_for(sampler={"name": "suffix-mh", "inverse_temperature": ADAPTIVE}, steps=4)
    seen = []
    [schedule] = run.schedules.schedules.values()
    schedule.observe = seen.append
    stopped = torch.tensor([[True, False], [False, False]])
    metrics = {"acceptance": torch.tensor([[0.0, 0.3], [0.6, math.nan]]), "other": torch.full((2, 2), math.inf)}
    run.schedules.tell(run.problem.clock, metrics, stopped, run.archives)
    assert seen[0].metrics["acceptance"] == pytest.approx(0.45)
    assert math.isnan(seen[0].metrics["other"])
    assert seen[0].best_energy == math.inf
    run.schedules.tell(run.problem.clock, metrics, torch.ones(2, 2, dtype=torch.bool), run.archives)
    assert len(seen) == 1


def test_each_run_begins_afresh_and_each_place_has_its_own(tmp_path):
    run = run_for(tmp_path / "a", **settings("tilted"))
    run.execute()
    used = run.schedules.state()
    assert used["sampler.strength"]["count"] > 0
    again = type(run)(run.composition, problem_for(), folder=None)
    fresh = again.schedules.state()
    assert fresh["sampler.strength"]["count"] == 0
    assert fresh["sampler.inverse_temperature"]["waited"] == 0
    other = run_for(sampler={"name": "tilted", "strength": ADAPTIVE, "inverse_temperature": ADAPTIVE}, steps=2)
    first, second = other.schedules.schedules.values()
    first.observe(Observation(0, 0.0, 1.0, {"acceptance": 1.0}))
    assert first.at(0.0, 0) != second.at(0.0, 0)


@pytest.mark.parametrize(
    "recipe",
    [
        {"energies": [{"name": "reference"}, {"name": "length", "target": 4.0, "weight": PLATEAU}]},
        {"energies": [{"name": "reference"}, {"name": "length", "target": PLATEAU}]},
        {"energies": [{"name": "reference"}], "constraints": [{"name": "length", "target": 0.0, "max": 2.0} | {
            "weight": PLATEAU, "method": "hinge"}]},
    ],
)  # fmt: skip
def test_an_energy_may_not_react(recipe):
    with pytest.raises(RecipeError, match=r"reacts to the run, and an energy may not") as error:
        run_for(recipe=recipe, energies={}, sampler="suffix-mh", steps=2)
    assert ".weight" in str(error.value) or ".target" in str(error.value)


def test_a_relaxation_may_react():
    relaxation = {"name": "softmax", "temperature": PLATEAU | {"patience": 1, "start": 1.0}}
    recipe = {"relaxation": relaxation}
    run = run_for(recipe=recipe, sampler={"name": "sea", "check_every": 100}, steps=4)
    run.execute()
    assert run.schedules.schedules["relaxation.temperature"].at(1.0, 4) == pytest.approx(0.7**3)


def test_adaptive_needs_a_sampler_that_accepts_or_rejects():
    run = run_for(sampler={"name": "sea", "step_size": ADAPTIVE}, steps=3)
    with pytest.raises(RecipeError, match="reports no such number"):
        run.execute()


def broken(**changes):
    return type("Broken", (Counter,), changes)(start=0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observe": None}, "a class without observe"),
        ({"load_state": None, "state": None}, "without state, load_state"),
        ({"state": lambda self: {1, 2}}, r"schedule 'waves' of sea-waves failed in state: TypeError"),
        ({"at": lambda self, progress, step: math.nan}, "returned nan"),
    ],
)
def test_a_class_that_keeps_no_contract_is_named_when_it_is_made(changes, message):
    with pytest.raises(PluginError, match=message):
        ReactiveSchedule("waves", broken(**changes), owner=Owner("schedule 'waves' of sea-waves"))


def test_a_schedule_that_fails_to_observe_is_named():
    made = ReactiveSchedule("waves", broken(observe=lambda self, seen: 1 / 0), owner=Owner("schedule of sea-waves"))
    with pytest.raises(PluginError, match=r"schedule of sea-waves failed in observe: ZeroDivisionError"):
        made.observe(Observation(0, 0.0, 0.0, {}))


def test_states_are_copies():
    made = ReactiveSchedule("counter", Counter())
    before = made.state()
    made.observe(Observation(0, 0.0, 1.0, {}))
    assert before == {"seen": []}
    taken = made.state()
    made.load_state(taken)
    made.observe(Observation(1, 0.5, 1.0, {}))
    assert len(taken["seen"]) == 1
    made.reset()
    made.observe(Observation(0, 0.0, 1.0, {}))
    made.reset()
    assert made.state() == {"seen": []}
