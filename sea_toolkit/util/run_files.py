"""The files of a run: their names, and JSON that is written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sea_toolkit.errors import SeaError
from sea_toolkit.util.files import write_whole
from sea_toolkit.util.json_text import parse_json

RECIPE, MANIFEST, TRACE = "recipe.json", "manifest.json", "trace.jsonl"
CHECKPOINT, RESULT = "checkpoint.safetensors", "result.json"


def write_run_file(path: Path, content: bytes) -> None:
    """Write a file of a run.

    Raises:
        SeaError: the folder cannot be written, or the disk is full; what was there before is still there.
    """
    try:
        write_whole(path, content)
    except OSError as error:
        what = f"cannot write {path}: {error.strerror or error}"
        raise SeaError(what, hint="another --out, or free space") from error


def write_json(path: Path, data: Any) -> None:
    """JSON, indented, whole or not at all."""
    write_run_file(path, (json.dumps(data, ensure_ascii=False, indent=2) + "\n").encode())


def read_json(path: Path) -> Any:
    """Raises: SeaError if the file is missing or damaged."""
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SeaError(
            f"cannot read {path}: {error.strerror or error}", expected="the folder of a run (--out)"
        ) from error
    except ValueError as error:
        raise SeaError(f"{path} is damaged: {error}") from error
