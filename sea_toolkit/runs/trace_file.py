"""The file of a trace as a state of it describes it: so many bytes, with this hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sea_toolkit.util import run_files


def part_of_trace(path: Path, state: Mapping[str, Any]) -> bytes:
    """The beginning of a trace that goes with a state of it.

    Raises:
        SeaError: it is not as it was written.
    """
    size = int(state["bytes"])
    content = run_files.read_bytes(path)[:size] if size else b""
    if len(content) < size:
        raise run_files.damaged(path, f"it has {len(content)} bytes, and {size} were written")
    if hashlib.sha256(content).hexdigest() != state["sha256"]:
        raise run_files.damaged(path, f"the SHA-256 of its first {size} bytes is another one")
    return content
