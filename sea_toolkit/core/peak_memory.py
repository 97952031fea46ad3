"""Peak memory, of the whole process or since a reset."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import torch


def reset_peak_memory() -> bool:
    """Start measuring peak memory anew; False where the system cannot, and the peak is that of the process so far."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return torch.cuda.is_available()
    return True


def peak_memory_mb() -> float:
    """Peak memory in MiB since `reset_peak_memory`, or since the process began: of the GPU where one is used, else
    resident memory. 0 where the system does not tell."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    told = _of_status("VmHWM")
    if told is not None:
        return told
    try:
        import resource  # Windows has none
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def resident_memory_mb() -> float:
    """Resident memory of this process in MiB; 0 where the system does not tell."""
    return _of_status("VmRSS") or 0.0


def _of_status(name: str) -> float | None:
    """A number of `/proc/self/status` in MiB, on systems that have it."""
    try:
        match = re.search(rf"{name}:\s*(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return None
    return int(match.group(1)) / 2**10 if match else None
