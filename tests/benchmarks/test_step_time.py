"""The benchmark runs, and its numbers hang together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "step_time.py"


def run(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, str(SCRIPT), "--shape", "tiny", "--device", "cpu", "--chains", "2", "--tokens", "6"]
    command += ["--threads", "1", "--rounds", "1", "--dtype", "float32", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak resident memory is read from /proc")
def test_times_memory_and_ratios() -> None:
    found = run("--variant", "sea", "--variant", "plain")
    row, plain = found["toolkit"]["sea float32"], found["plain"]["plain"]
    assert 0 < row["low"] <= row["median"] <= row["high"]
    assert row["faster_than_plain"] == pytest.approx(plain["median"] / row["median"])
    rate = max(found["products_gflops"]["float32"].values())
    assert row["floor_seconds"] == pytest.approx(row["flops"] / (rate * 1e9))
    assert row["flops"] > 0
    for measured in (row, plain):
        assert measured["peak_mb"] >= measured["loaded_mb"] > 10
    assert row["memory_of_plain"] == pytest.approx(row["peak_mb"] / plain["peak_mb"])
