"""What a process may still take, as the system says it."""

from __future__ import annotations

import math

import pytest
import torch

from sea_toolkit.core import free_memory as module
from sea_toolkit.core.free_memory import free_memory, memory_in_use

CPU = torch.device("cpu")


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Writes files of a system with 1000 KiB available, and of one control group."""
    monkeypatch.setattr(module, "_MACHINE", tmp_path / "meminfo")
    monkeypatch.setattr(module, "_GROUPS", (tuple(str(tmp_path / name) for name in ("max", "current", "stat")),))

    def write(**files):
        for name, text in ({"meminfo": "MemTotal: 9000 kB\nMemAvailable:   1000 kB\n"} | files).items():
            (tmp_path / name).write_text(text)

    return write


def test_what_is_free_is_what_the_machine_and_the_container_both_have(machine):
    machine()
    assert free_memory(CPU) == 1000 * 1024
    machine(max="max\n", current="5000\n", stat="anon 7\n")
    assert free_memory(CPU) == 1000 * 1024
    machine(max="600000\n", current="500000\n", stat="anon 7\ninactive_file 30000\nactive_file 5\n")
    assert free_memory(CPU) == 130_000  # files that are cached make room


def test_where_the_system_does_not_tell_nothing_is_bounded(machine):
    assert free_memory(CPU) == math.inf
    assert free_memory(torch.device("meta")) == math.inf
    assert memory_in_use(torch.device("meta")) == 0.0


def test_memory_in_use_grows_with_what_is_kept():
    before = memory_in_use(CPU)
    kept = torch.ones(16 * 2**20)  # 64 MiB
    assert memory_in_use(CPU) - before > 0.8 * kept.nbytes or before == 0.0
