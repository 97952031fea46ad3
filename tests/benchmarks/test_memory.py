"""The benchmark of memory tells what it compares."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from click.testing import CliRunner

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "memory.py"


def test_answers_are_compared_with_those_of_the_first_limit_and_failures_are_told(monkeypatch):
    spec = importlib.util.spec_from_file_location("memory_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def told(sampler, prompts, limit, setting):
        if limit == "1MiB":
            return {"failed": "expected: more than the models take"}
        answers = ["a", "b" if limit == "none" else "c"]
        return {"loaded": 900.0, "peak": 1000.0, "seconds": 2.0, "answers": answers, "energies": [0.0, 1.0]}

    monkeypatch.setattr(module, "in_fresh_process", told)
    arguments = ["--sampler", "sea", "--prompts", "2", "--limit", "none,2GiB,1MiB"]
    lines = CliRunner().invoke(module.main, arguments).output.splitlines()
    assert lines[2:] == [
        "| `sea` | 2 | none | 1000 | 100 | 2 | 2 of 2 |",
        "| `sea` | 2 | 2GiB | 1000 | 100 | 2 | 1 of 2 |",
        "| `sea` | 2 | 1MiB | expected: more than the models take | | | |",
    ]
