"""The files of a run: their names, and how they are written whole, sealed against damage, and read back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from sea_toolkit.errors import SeaError
from sea_toolkit.util.files import write_whole
from sea_toolkit.util.json_text import parse_json

RECIPE, MANIFEST, TRACE = "recipe.json", "manifest.json", "trace.jsonl"
CHECKPOINT, RESULT, ENDED = "checkpoint.safetensors", "result.json", "ended.json"

PLAN, ROWS, RESULTS, TABLE, PLOT = "compare.json", "rows.jsonl", "results.json", "table.md", "plot.png"
"""Those of a comparison."""

FRONT = "pareto.json"
"""What a sweep over weights is asked, in place of `PLAN`."""

MANY = "plan.json"
"""What a folder of many prompts is asked; its runs lie in `shards`."""

NAMES = {RECIPE, MANIFEST, TRACE, CHECKPOINT, RESULT, ENDED, PLAN, FRONT, ROWS, RESULTS, TABLE, PLOT}
"""All that is written into somebody's folder."""

SEAL = "sha256"
"""The key of a file's own hash."""

_LINE_ENDS = {ord(c): f"\\u{ord(c):04x}" for c in "\u0085\u2028\u2029"}
"""Characters that JSON allows in a text, and that some programs take for the end of a line."""


def write_run_file(path: Path, content: bytes) -> None:
    """Write a file of a run.

    Raises:
        SeaError: the folder cannot be written, or the disk is full; what was there before is still there.
    """
    try:
        write_whole(path, content)
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> SeaError:
    """The error for a file of a run."""
    return SeaError(f"cannot write {path}: {error.strerror or error}", hint="another --out, or free space")


def damaged(
    path: Path, what: str, hint: str = "start the run again in another folder, or bring the file back"
) -> SeaError:
    """The error for a file that is not as it was written."""
    return SeaError(f"{path} is damaged or was edited: {what}", expected="the file as sea-toolkit wrote it", hint=hint)


def to_json(data: Any) -> bytes:
    """JSON, indented."""
    return (json.dumps(data, ensure_ascii=False, indent=2) + "\n").encode()


def to_line(data: Any) -> bytes:
    """JSON in one line, whatever a reader takes for the end of a line."""
    return (json.dumps(data, ensure_ascii=False, allow_nan=False).translate(_LINE_ENDS) + "\n").encode()


def write_json(path: Path, data: Any) -> None:
    """JSON, indented, whole or not at all."""
    write_run_file(path, to_json(data))


def digest_of(data: Any) -> str:
    """SHA-256 of plain data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def write_sealed(path: Path, data: dict[str, Any]) -> None:
    """JSON with its own hash, whole or not at all."""
    write_json(path, {**data, SEAL: digest_of(data)})


def read_sealed(path: Path, hint: str | None = None) -> dict[str, Any]:
    """What `write_sealed` was given.

    Args:
        path: of the file.
        hint: what to try if it is damaged.

    Raises:
        SeaError: the file is missing, damaged or edited.
    """
    data = read_json(path)
    if not isinstance(data, dict) or digest_of({k: v for k, v in data.items() if k != SEAL}) != data.get(SEAL):
        what = "its SHA-256 is another one"
        raise damaged(path, what) if hint is None else damaged(path, what, hint)
    del data[SEAL]
    return data


def read_bytes(path: Path) -> bytes:
    """Raises: SeaError if the file is missing, or no file."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise SeaError(
            f"cannot read {path}: {error.strerror or error}", expected="the folder of a run (--out)"
        ) from error


def read_json(path: Path) -> Any:
    """Raises: SeaError if the file is missing or damaged."""
    try:
        return parse_json(read_bytes(path).decode())
    except ValueError as error:
        raise damaged(path, str(error)) from error
