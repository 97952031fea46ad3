"""Peak memory of one run, not of the process."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from sea_toolkit.core.ledger import peak_memory_mb


def reset_peak() -> bool:
    """Start measuring peak memory anew; False where the system cannot, and the peak is that of the process so far."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return torch.cuda.is_available()
    return True


def peak_mb() -> float:
    """Peak memory in MiB since `reset_peak`: of the GPU where one is used, else resident memory."""
    if not (torch.cuda.is_available() and torch.cuda.max_memory_allocated()):
        try:
            found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        except OSError:
            found = None
        if found:
            return int(found.group(1)) / 2**10
    return peak_memory_mb()
