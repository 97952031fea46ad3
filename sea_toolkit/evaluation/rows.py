"""The rows of a comparison on disk: one per method, budget, seed and prompt, kept as soon as a batch is done."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sea_toolkit.errors import SeaError
from sea_toolkit.util.run_files import read_json, write_json, write_run_file

PLAN, ROWS = "compare.json", "rows.jsonl"
Row = dict[str, Any]
Key = tuple[str, float, int, int]
"""Method, budget, seed, batch."""


def key_of(row: Row) -> Key:
    return row["method"], float(row["budget"]), row["seed"], row["batch"]


class RowStore:
    """Rows in memory and, with a folder, on disk.

    Args:
        folder: of the comparison, or None.
        plan: what decides the rows (`"fixed"`, which must be unchanged) and the methods by label (methods present in
            both plans must be identical; new ones may be added).
        sizes: prompts in each batch: rows of a batch that is not whole are dropped.

    Raises:
        SeaError: the folder holds another comparison or something else, is damaged, or cannot be written.
    """

    def __init__(self, folder: Path | None, plan: dict[str, Any], sizes: Sequence[int]) -> None:
        self.folder, self.resumed = folder, 0
        self.rows: list[Row] = []
        if folder is not None:
            self._open(folder, plan, sizes)
        self.done = {key_of(row) for row in self.rows}

    def add(self, rows: Sequence[Row]) -> None:
        """Keep the rows of one run: all of them or, if the process dies here, none."""
        if self.folder is not None:
            text = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
            try:
                with open(self.folder / ROWS, "ab") as file:
                    file.write(text.encode())
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise SeaError(
                    f"cannot write {self.folder / ROWS}: {error.strerror or error}", hint="free space"
                ) from error
        self.rows += rows
        self.done |= {key_of(row) for row in rows}

    def _open(self, folder: Path, plan: dict[str, Any], sizes: Sequence[int]) -> None:
        if (folder / "recipe.json").exists():
            raise SeaError(f"{folder} holds a run of align", hint="another --out")
        if (folder / PLAN).exists():
            before = read_json(folder / PLAN)
            changed = _changes(before.get("fixed", {}), plan["fixed"])
            methods = before.get("methods", {})
            changed += [f"method {m}" for m in plan["methods"] if m in methods and methods[m] != plan["methods"][m]]
            if changed:
                raise SeaError(
                    f"{folder} holds another comparison; what differs: {', '.join(changed)}",
                    expected="the same prompts, recipe and settings (methods, budgets and seeds may be added)",
                    hint="another --out, or the same command as before",
                )
            plan = {**plan, "methods": {**methods, **plan["methods"]}}
            self._read(folder / ROWS, sizes)
        write_json(folder / PLAN, plan)

    def _read(self, path: Path, sizes: Sequence[int]) -> None:
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        groups: dict[Key, dict[int, Row]] = defaultdict(dict)
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                row = json.loads(line)
                groups[key_of(row)].setdefault(row["prompt_index"], row)
            except (ValueError, KeyError, TypeError) as error:
                if number == len(lines):  # without its line end: the process died while it was written
                    break
                raise SeaError(f"{path}, line {number} is damaged", hint="remove that line, or the folder") from error
        for key, group in groups.items():
            if len(group) == sizes[key[3]]:
                self.rows += group.values()
        self.resumed = len(self.rows)
        if self.resumed != sum(map(bool, lines)) or (lines and lines[-1]):
            text = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in self.rows)
            write_run_file(path, text.encode())


def _changes(then: dict[str, Any], now: dict[str, Any], path: str = "") -> list[str]:
    """Names of what differs."""
    names = []
    for key in sorted(then.keys() | now.keys()):
        a, b = then.get(key), now.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            names += _changes(a, b, f"{path}{key}.")
        elif a != b:
            names.append(f"{path}{key}")
    return names
