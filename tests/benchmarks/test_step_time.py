"""The benchmark runs, and its numbers hang together."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "step_time.py"


@pytest.fixture
def step_time(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module; what it asks of fresh processes runs here, with the same arguments."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("step_time_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.subprocess, "run", lambda command, **more: started(module, command))
    return module


def started(module: Any, command: list[str]) -> Any:
    """The output of `python step_time.py …`, run here."""
    assert command[:2] == [sys.executable, module.__file__]
    done = CliRunner().invoke(module.main, command[2:], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def run(module: Any, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, module.__file__, "--shape", "tiny", "--device", "cpu", "--chains", "2", "--tokens", "6"]
    command += ["--threads", "1", "--rounds", "1", "--dtype", "float32", "--json", *arguments]
    return json.loads(started(module, command).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak resident memory is read from /proc")
def test_times_memory_and_ratios(step_time: Any) -> None:
    found = run(step_time, "--variant", "sea", "--variant", "plain")
    row, plain = found["toolkit"]["sea float32"], found["plain"]["plain"]
    assert 0 < row["low"] <= row["median"] <= row["high"]
    assert row["faster_than_plain"] == pytest.approx(plain["median"] / row["median"])
    rate = max(found["products_gflops"]["float32"].values())
    assert row["floor_seconds"] == pytest.approx(row["flops"] / (rate * 1e9))
    assert row["flops"] > 0
    for measured in (row, plain):
        assert measured["peak_mb"] >= measured["loaded_mb"] > 10
    assert row["memory_of_plain"] == pytest.approx(row["peak_mb"] / plain["peak_mb"])
