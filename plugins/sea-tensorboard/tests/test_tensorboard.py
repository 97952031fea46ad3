"""The observer and the command, read back with TensorBoard's own reader."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
import sea_tensorboard
from click.testing import CliRunner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import sea_toolkit as sea


def read(folder: Path) -> EventAccumulator:
    """All that an event file says."""
    return EventAccumulator(str(folder), size_guidance={"tensors": 0, "scalars": 0}).Reload()


def values(found: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in found.Scalars(tag)]


def event(kind: str, step: int, energy: float, text: str, run: str = "a", **metrics: list[list[float]]) -> sea.Event:
    return sea.Event(
        kind=kind, run=run, step=step, steps=2, progress=step / 2, energy=[energy, 1.0], samples=3.0 * step,
        texts=[text, "other"], metrics=metrics,
    )  # fmt: skip


@pytest.fixture
def hub():
    """A hub in which the observer takes part."""
    hub = sea.PluginHub.discover(plugins=[])
    with hub.temporarily(sea_tensorboard):
        yield hub


def test_a_run_can_be_read_back(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("SEA_TENSORBOARD", str(tmp_path / "logs"))
    assert hub.observe(event("start", 0, 5.0, "begin")) == []
    hub.observe(event("step", 1, 4.0, "better", accepted=[[1.0, 0.0], [1.0, 1.0]]))
    hub.observe(event("step", 2, float("inf"), "better"))
    assert hub.observe(event("end", 2, 4.0, "better")) == []
    (folder,) = (tmp_path / "logs").iterdir()
    found = read(folder)
    assert values(found, "prompt 1/lowest energy") == [(0, 5.0), (1, 4.0), (2, 4.0)]  # what is not finite is left out
    assert values(found, "prompt 1/accepted") == [(1, 0.5)]
    assert values(found, "prompt 2/accepted") == [(1, 1.0)]
    assert [v for _, v in values(found, "samples")] == [0.0, 3.0, 6.0, 6.0]
    texts = [(e.step, e.tensor_proto.string_val[0].decode()) for e in found.Tensors("prompt 1/answer")]
    assert texts == [(0, "begin"), (1, "better")]
    assert not sea_tensorboard._open


def test_two_runs_at_once_get_a_folder_each(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("SEA_TENSORBOARD", str(tmp_path))
    runs = ["a", "b"]
    for kind in ("start", "end"):
        for energy, run in enumerate(runs):
            hub.observe(event(kind, 0, float(energy), "text", run))
    lowest = sorted(values(read(folder), "prompt 1/lowest energy")[0][1] for folder in tmp_path.iterdir())
    assert lowest == [0.0, 1.0]


def test_nothing_is_written_unless_asked_for(hub, tmp_path, monkeypatch):
    monkeypatch.delenv("SEA_TENSORBOARD", raising=False)
    monkeypatch.chdir(tmp_path)
    assert hub.observe(event("start", 0, 1.0, "text")) == []
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_named_and_the_run_goes_on(hub, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SEA_TENSORBOARD", str(tmp_path / "file"))
    (failure,) = hub.observe(event("start", 0, 1.0, "text"))
    assert "sea_observe" in failure
    assert hub.observe(event("step", 1, 1.0, "text")) == []


@pytest.fixture
def command(tmp_path):
    """The command, added to a group as it is to `sea-toolkit`."""
    group = click.Group()
    sea_tensorboard.sea_register_commands(group)
    return lambda run: CliRunner().invoke(group, ["tensorboard", str(run), "--to", str(tmp_path / "logs")])


def test_the_command_writes_a_trace(command, tmp_path):
    lines = [
        {
            "step": -1,
            "samples": 2.0,
            "energy": [[3.0, 5.0]],
            "terms": {"reference": [[1.0, 2.0]]},
            "texts": [["a", "b"]],
        },
        {
            "step": 1,
            "samples": 4.0,
            "energy": [[2.0, None]],
            "terms": {"reference": [[0.5, None]]},
            "stopped": [[0, 1]],
        },
    ]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "trace.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = command(tmp_path / "run")
    assert done.exit_code == 0, done.output
    found = read(tmp_path / "logs" / "run")
    assert values(found, "prompt 1/energy") == [(0, 4.0), (1, 2.0)]
    assert values(found, "prompt 1/term reference") == [(0, 1.5), (1, 0.5)]


def test_a_folder_without_a_trace_is_an_error(command, tmp_path):
    done = command(tmp_path)
    assert isinstance(done.exception, sea.SeaError)
    assert "no trace" in str(done.exception)
