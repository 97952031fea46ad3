"""What a run has written, without what may differ between equal runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from sea_toolkit.util import run_files


def timeless(data: Any) -> Any:
    """A result, or facts of a checkpoint, without times and memory."""
    if isinstance(data, dict):
        return {k: timeless(v) for k, v in data.items() if k not in ("seconds", "peak_memory_mb")}
    return [timeless(x) for x in data] if isinstance(data, list) else data


def left_behind(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any], Any, str]:
    """Tensors and facts of the checkpoint, the result and the trace."""
    with safe_open(folder / run_files.CHECKPOINT, "pt") as file:
        tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
        facts = {"shape": timeless(json.loads(metadata["shape"])), "run": metadata["run"]}
    result = timeless(json.loads((folder / run_files.RESULT).read_text(encoding="utf-8")))
    return tensors, facts, result, (folder / run_files.TRACE).read_text(encoding="utf-8")
