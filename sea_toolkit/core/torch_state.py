"""Torch's modes as the toolkit computes under them, whatever the caller has set; the caller's come back afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

AUTOCAST_DEVICES = ("cpu", "cuda", "xpu", "mps")
"""Devices that have an autocast of their own."""


@contextmanager
def own_torch_state() -> Iterator[None]:
    """Gradients on, inference mode and autocast off, float32 and the CPU for tensors that name no dtype or device.

    So a run gives the same inside `no_grad`, `inference_mode`, `autocast` and with any default. Blocks may be nested,
    and stand side by side in threads. As a decorator it holds for one call.
    """
    with ExitStack() as stack:
        # grad mode after inference mode, which sets it
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for device in AUTOCAST_DEVICES:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":
            # only then: it looks at every call
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(_FLOAT32)
        yield


class _SharedFloat32:
    """float32 as the default dtype, which torch keeps for the whole process: the first block of all threads sets it,
    the last one puts back what was there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = torch.float32

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = torch.get_default_dtype()
                torch.set_default_dtype(torch.float32)
            self._inside += 1

    def __exit__(self, *failure: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                torch.set_default_dtype(self._before)


_FLOAT32 = _SharedFloat32()
