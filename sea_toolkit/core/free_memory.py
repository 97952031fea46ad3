"""How much memory a device has left, and how much of it this process has in use."""

from __future__ import annotations

import contextlib
import ctypes
import math
import sys
from pathlib import Path

import torch

from sea_toolkit.core.peak_memory import resident_memory_mb

_MACHINE = Path("/proc/meminfo")
_GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes",
     "/sys/fs/cgroup/memory/memory.stat"),
)  # fmt: skip
"""Limit, use and details of the control group that a container runs in, of both versions."""


def memory_in_use(device: torch.device) -> float:
    """Bytes: of tensors on a GPU, of the whole process on the CPU; 0 where the system does not tell."""
    if device.type == "cuda":
        return float(torch.cuda.memory_allocated(device))
    if device.type != "cpu":
        return 0.0
    give_back_free_memory()
    return resident_memory_mb() * 2**20


def free_memory(device: torch.device) -> float:
    """Bytes that this process can still have; infinite where the system does not tell."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return float(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    if device.type != "cpu":
        return math.inf
    return min(_number(_MACHINE, "MemAvailable:") * 1024, *(_left_in(*map(Path, group)) for group in _GROUPS))


def give_back_free_memory() -> None:
    """Let the allocators return what nobody uses to the system."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # the GNU C library alone has it
            ctypes.CDLL(None).malloc_trim(0)


def _left_in(limit: Path, used: Path, details: Path) -> float:
    """Bytes that a control group has left; what it keeps of files makes room when it is needed."""
    return _number(limit) - _number(used, none=0.0) + _number(details, "inactive_file ", none=0.0)


def _number(path: Path, name: str = "", *, none: float = math.inf) -> float:
    """The number after a name in a file of the system, or `none` where there is none."""
    try:
        text = path.read_text()
    except OSError:
        return none
    words = text.partition(name)[2].split() if name else text.split()
    return float(words[0]) if words and words[0].isdigit() else none
