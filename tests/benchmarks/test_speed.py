"""The speed benchmark on a tiny shape: its tables are made, and the products it counts are those that are done."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module
    for name in ("speed", "products", "phases", "shapes", "gpu"):
        sys.modules.pop(name, None)


def table(benchmark, *arguments):
    done = CliRunner().invoke(benchmark("speed").main, [*arguments], catch_exceptions=False)
    assert done.exit_code == 0
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.output.splitlines()]
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_products_are_counted_with_their_way_back(benchmark):
    products = benchmark("products").Products()
    layer = torch.nn.Linear(3, 5, bias=False).requires_grad_(False)
    with products.recording():
        layer(torch.ones(2, 4, 3))
        layer(torch.ones(7, 3, requires_grad=True))
    layer(torch.ones(1, 3))
    found = {(shape.rows, shape.back): times for shape, times in products.counts.items()}
    assert found == {(8, False): 1, (7, False): 1, (7, True): 1}
    assert products.flops == 2 * 3 * 5 * (8 + 7 + 7)
    assert products.bytes == 3 * 3 * 5 * 4


def test_drawing_is_compared_with_generate(benchmark):
    (row,) = table(benchmark, "--threads", "1", "drawing", "--shape", "tiny", "--batch", "2", "--tokens", "4")
    assert float(row["tokens per s"]) > 0
    assert 0 < float(row["matrix products alone, share"]) < 1


def test_a_table_of_samplers_says_where_the_time_goes(benchmark):
    arguments = ["--shape", "tiny", "--rounds", "1", "--tokens", "4", "--chains", "1"]
    rows = table(benchmark, "samplers", *arguments, "--sampler", "best-of-n", "--sampler", "sea")
    shares = {row["sampler"]: {name: int(row[name].rstrip("%")) for name in list(row)[6:]} for row in rows}
    for phases in shares.values():
        assert 97 <= sum(phases.values()) <= 103
    assert shares["`best-of-n`"]["back"] == 0
    assert shares["`sea`"]["back"] > 0
    assert all(float(row["× products"]) > 1 for row in rows)


def test_scaling_fits_a_slope(benchmark, tmp_path):
    assert benchmark("speed").fitted([2, 4, 8], [3.0, 6.0, 12.0]) == pytest.approx(1.0)
    (row,) = table(
        benchmark, "scaling", "--shape", "tiny", "--rounds", "1", "--points", "2", "--sampler", "best-of-n",
        "--sweep", "prompts", "--json", str(tmp_path / "rows.json"),
    )  # fmt: skip
    assert row["values"] == "1 … 2"
    (kept,) = json.loads((tmp_path / "rows.json").read_text())
    assert kept["values"] == [1, 2]
    assert all(seconds > 0 for seconds in kept["seconds"])


def test_sweeps_are_drawn(benchmark, tmp_path):
    pytest.importorskip("matplotlib")
    rows = [
        {"dtype": "float32", "sampler": name, "sweep": sweep, "values": [1, 2, 4], "seconds": [1.0, 2.5, 4.0]}
        for name in ("sea", "tilted")
        for sweep in ("chains", "prompts")
    ]
    benchmark("speed").draw_sweeps(rows, tmp_path / "sweeps.png")
    assert (tmp_path / "sweeps.png").read_bytes()[1:4] == b"PNG"


def test_the_gpu_benchmark_runs_on_a_cpu_with_a_tiny_shape(benchmark):
    arguments = "--policy tiny --reward tiny --device cpu --dtype float32 --chains 2 --tokens 4 --steps 1 --sampler sea"
    done = CliRunner().invoke(benchmark("gpu").main, arguments.split(), catch_exceptions=False)
    assert done.exit_code == 0
    assert "| `sea` | " in done.output
    assert any(word in done.output for word in ("| operations |", "| weights |"))
