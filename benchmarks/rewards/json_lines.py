"""Rows of results: a JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a file; none where there is none."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def answers(results: Path, kind: str) -> list[dict[str, Any]]:
    """Rows of a kind: those of `run.py`, with the best-of-n of `best_of_n.py` in place of its own if there is one."""
    run, drawn = lines_of(results / kind / "rows.jsonl"), lines_of(results / f"{kind}-best-of-n.jsonl")
    cells = {(row["method"], row["budget"]) for row in drawn}
    return [row for row in run if (row["method"], row["budget"]) not in cells] + drawn
