"""Clocks, memory and the rate of a matrix product."""

from __future__ import annotations

import ctypes
import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Timing:
    """Seconds per step: the median over rounds, the fastest and the slowest round; `cpu` is the median of the seconds
    that the processor spent on it, which others at work on the same machine disturb less."""

    median: float
    low: float
    high: float
    cpu: float

    @classmethod
    def of(cls, taken: list[tuple[float, float]]) -> Timing:
        wall, cpu = ([pair[i] for pair in taken] for i in (0, 1))
        return cls(statistics.median(wall), min(wall), max(wall), statistics.median(cpu))


def seconds(work: Callable[[], object], times: int, device: torch.device) -> tuple[float, float]:
    """Wall and processor time of one of `times` repetitions of `work`, the device's queue included."""
    _wait(device)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(times):
        work()
    _wait(device)
    return (time.perf_counter() - wall) / times, (time.process_time() - cpu) / times


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def product(rows: int, inner: int, outer: int, dtype: torch.dtype, device: torch.device) -> Callable[[], object]:
    """A matrix product as a linear layer does it."""
    a = torch.randn(rows, inner, device=device).to(dtype)
    b = torch.randn(outer, inner, device=device).to(dtype)
    return lambda: torch.nn.functional.linear(a, b)


class Memory:
    """Peak memory in MiB since `reset`: allocated by torch on a GPU, resident (Linux, VmHWM) on the CPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def reset(self) -> float:
        """Start again; returns what is in use now."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
            return torch.cuda.memory_allocated(self.device) / 2**20
        ctypes.CDLL(None).malloc_trim(0)  # what loading left behind is not the step's
        Path("/proc/self/clear_refs").write_text("5")
        return self._status("VmRSS")

    def peak(self) -> float:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        return self._status("VmHWM")

    @staticmethod
    def _status(key: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(key + ":"))
