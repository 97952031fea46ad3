"""Torch's modes as the toolkit computes under them, whatever the caller has set; the caller's come back afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from sea_toolkit.registry.isolation import default_device
from sea_toolkit.util.process_wide import ONE_AT_A_TIME, SharedBlock

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
        if default_device(torch).type != "cpu":
            # only then: it looks at every call
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(_FLOAT32)
        yield


@contextmanager
def _float32_by_default() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


_FLOAT32 = SharedBlock(_float32_by_default, ONE_AT_A_TIME)
"""torch keeps its default dtype for the whole process."""


@contextmanager
def same_random_stream() -> Iterator[None]:
    """Put torch's global stream back afterwards: a layer that is made fills itself from it before its weights are read.
    One block at a time, in all threads together."""
    with ONE_AT_A_TIME, torch.random.fork_rng(devices=[]):
        yield
