"""docs/robustness.md: every promise names a test that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    line
    for line in (ROOT / "docs" / "robustness.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| promise |")
]


@pytest.mark.parametrize("row", ROWS)
def test_a_promise_names_tests_that_exist(row: str) -> None:
    names = re.findall(r"`(tests/[^`]+|benchmarks/[^`]+)`", row.rsplit("|", 2)[1])
    assert names, row
    for name in names:
        path, _, function = name.partition("::")
        source = (ROOT / path).read_text(encoding="utf-8")
        defined = {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}
        assert not function or function in defined, f"{path} has no {function}"
