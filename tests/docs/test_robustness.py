"""docs/robustness.md: every promise names a test that exists."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    line
    for line in (ROOT / "docs" / "robustness.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| promise |")
]


@functools.cache
def functions_of(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", ROWS)
def test_a_promise_names_tests_that_exist(row: str) -> None:
    names = re.findall(r"`(tests/[^`]+|benchmarks/[^`]+)`", row.rsplit("|", 2)[1])
    assert names, row
    for name in names:
        path, _, function = name.partition("::")
        assert not function or function in functions_of(ROOT / path), f"{path} has no {function}"
