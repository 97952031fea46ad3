"""What a run has spent: tokens forward and backward per model, sequential decode steps, seconds, peak memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from sea_toolkit.core.peak_memory import peak_memory_mb

ROUNDING = 1e-6
"""Samples: sums of FLOPs that are equal on paper differ by less."""


@dataclass
class Tokens:
    """Tokens through one model.

    FLOPs count 2 · parameters per token forward and as much backward: gradients of the weights are never computed.
    """

    forward: int = 0
    backward: int = 0
    flops: float = 0.0


@dataclass
class Ledger:
    """Counts for a whole run, all prompts and chains together.

    Whoever decodes tells it of each step (`decoded`), which is where a run can be ended: `between` is called there.

    `sample_flops` is the unit in which budgets are given: drawing one response of the run's length from the policy
    and scoring it once by every reward. `samples` is what has been spent per prompt, in that unit, since `begin`:
    reading the prompts comes before it, and costs every sampler the same.
    """

    models: dict[str, Tokens] = field(default_factory=dict)
    decode_steps: int = 0
    prompts: int = 1
    sample_flops: float = 0.0
    flops_before: float = 0.0
    started: float = field(default_factory=time.perf_counter)
    seconds_before: float = 0.0
    between: Callable[[], None] | None = None

    @contextmanager
    def asking(self, question: Callable[[], None]) -> Iterator[None]:
        """Within the block, the question is asked after each step of decoding."""
        self.between = question
        try:
            yield
        finally:
            self.between = None

    def decoded(self) -> None:
        """Count one step of decoding: a pass of the policy that has to wait for the one before it."""
        self.decode_steps += 1
        if self.between is not None:
            self.between()

    def begin(self, sample_flops: float) -> None:
        """Count samples from here on, in this unit."""
        self.sample_flops, self.flops_before = sample_flops, self.flops

    def forward(self, model: str, tokens: int, parameters: float, *, backward: bool = False) -> None:
        """Count `tokens` through `parameters` weights of `model`; with `backward`, the backward pass as well."""
        entry = self.models.setdefault(model, Tokens())
        entry.forward += tokens
        entry.flops += 2.0 * parameters * tokens * (2 if backward else 1)
        if backward:
            entry.backward += tokens

    def backward(self, model: str, tokens: int, parameters: float) -> None:
        """Count one more backward pass through what has been counted forward."""
        entry = self.models.setdefault(model, Tokens())
        entry.backward += tokens
        entry.flops += 2.0 * parameters * tokens

    @property
    def flops(self) -> float:
        return sum(t.flops for t in self.models.values())

    @property
    def samples(self) -> float:
        """Samples per prompt spent so far; 0 while the unit is unknown."""
        if not self.sample_flops:
            return 0.0
        return (self.flops - self.flops_before) / (self.sample_flops * self.prompts)

    @property
    def seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.started

    def summary(self) -> dict[str, Any]:
        """Plain numbers for a result. Between two equal runs only `seconds` and `peak_memory_mb` may differ."""
        return {
            "samples_per_prompt": round(self.samples, 3),
            "flops": self.flops,
            "decode_steps": self.decode_steps,
            "models": {name: asdict(t) for name, t in sorted(self.models.items())},
            "seconds": round(self.seconds, 3),
            "peak_memory_mb": round(peak_memory_mb()),
        }

    def state(self) -> dict[str, Any]:
        """For a checkpoint: counts and the seconds used so far."""
        return {
            "models": {name: asdict(t) for name, t in self.models.items()},
            "decode_steps": self.decode_steps,
            "seconds": self.seconds,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.models = {name: Tokens(**t) for name, t in state["models"].items()}
        self.decode_steps = state["decode_steps"]
        self.seconds_before, self.started = state["seconds"], time.perf_counter()
