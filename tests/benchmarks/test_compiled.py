"""The benchmark of compiled blocks on a tiny shape: blocks share a graph, which gives what they give."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.compiling import let_torch_trace

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def main(monkeypatch):
    let_torch_trace(monkeypatch)
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")  # as the script sets it, and put back afterwards
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("compiled").main
    for name in ("compiled", "shapes"):
        sys.modules.pop(name, None)


def test_a_graph_serves_many_blocks_and_says_the_same(main):
    arguments = ["--shape", "tiny", "--backend", "eager", "--rounds", "2", "--tokens", "12", "--only", "one token of 4"]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    head, _, row = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.output.splitlines()]
    found = dict(zip(head, row, strict=True))
    assert found["pass"] == "one token of 4"
    assert int(found["graphs"]) <= 2
    assert float(found["error"]) == 0
    assert float(found["s to compile"]) > 0
