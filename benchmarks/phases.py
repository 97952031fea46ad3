"""Where the processor seconds of a call go: passes of the policy, its head, rewards, the way back, the rest."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from sea_toolkit.lm.policy import Policy

NAMES = ("policy", "policy, for its gradient", "head", "rewards", "back", "rest")


class Phases:
    """Processor seconds by phase. The outermost module that is called decides, and within it nothing is asked."""

    def __init__(self, policy: Policy) -> None:
        self._parts = {id(policy.backbone.base): "policy", id(policy._head): "head"}
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._open: list[tuple[int, str, float]] = []

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Within the block, time is kept by phase; what no phase takes is the rest."""
        before = register_module_forward_pre_hook(self._enter)
        after = register_module_forward_hook(self._leave, always_call=True)
        start, known = time.process_time(), sum(self.seconds.values())
        try:
            with (
                mock.patch.object(torch.autograd, "grad", self._back(torch.autograd.grad)),
                mock.patch.object(torch.autograd, "backward", self._back(torch.autograd.backward)),
            ):
                yield
        finally:
            before.remove()
            after.remove()
            self.seconds["rest"] += time.process_time() - start - (sum(self.seconds.values()) - known)

    def _enter(self, module: nn.Module, args: Any) -> None:
        if not self._open and any(True for _ in module.parameters()):
            phase = self._parts.get(id(module), "rewards")
            if phase == "policy" and torch.is_grad_enabled():
                phase = "policy, for its gradient"
            self._open.append((id(module), phase, time.process_time()))

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        if self._open and self._open[-1][0] == id(module):
            _, phase, start = self._open.pop()
            self.seconds[phase] += time.process_time() - start

    def _back(self, function: Any) -> Any:
        def timed(*args: Any, **options: Any) -> Any:
            start = time.process_time()
            try:
                return function(*args, **options)
            finally:
                if not self._open:  # a pass's own gradient belongs to the pass
                    self.seconds["back"] += time.process_time() - start

        return timed
