"""The matrix products that a piece of work does, and what they take alone: the least that work can cost at its shapes.

A product of few rows is bound by reading its weights and one of many rows by arithmetic; both are measured, at the
shapes that occur, with weights that lie in no cache.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

COLD = 2**28
"""Bytes of weights that are gone through in turn, more than a cache holds."""

MOST = 64
ENOUGH = 2e10
"""FLOPs after which a product has been timed long enough."""

REPEATS = 3


@dataclass(frozen=True)
class Shape:
    """`[rows, inner] · [inner, outer]`, forward, or back to its input."""

    rows: int
    inner: int
    outer: int
    dtype: torch.dtype
    back: bool = False

    @property
    def flops(self) -> float:
        return 2.0 * self.rows * self.inner * self.outer

    @property
    def bytes(self) -> int:
        """Of the weights."""
        return self.inner * self.outer * self.dtype.itemsize


@dataclass
class Products:
    """How often each shape occurred."""

    counts: Counter[Shape] = field(default_factory=Counter)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Within the block, every linear layer that is called is counted, and its way back where one is recorded."""
        handle = register_module_forward_hook(self._see)
        try:
            yield
        finally:
            handle.remove()

    def _see(self, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Linear):
            outer, inner = module.weight.shape
            rows = args[0].numel() // inner
            self.counts[Shape(rows, inner, outer, module.weight.dtype)] += 1
            if output.requires_grad:
                self.counts[Shape(rows, inner, outer, module.weight.dtype, back=True)] += 1

    @property
    def flops(self) -> float:
        return sum(shape.flops * times for shape, times in self.counts.items())

    @property
    def bytes(self) -> float:
        """Weights read, once for each product."""
        return sum(shape.bytes * times for shape, times in self.counts.items())


class Clock:
    """Processor seconds of one product of a shape; each shape is measured once."""

    def __init__(self) -> None:
        self.known: dict[Shape, float] = {}

    def seconds(self, products: Products) -> float:
        """Of all the products, one after the other."""
        return sum(self.of(shape) * times for shape, times in products.counts.items())

    @torch.no_grad()
    def of(self, shape: Shape) -> float:
        if shape not in self.known:
            number = max(1, min(MOST, COLD // shape.bytes, int(ENOUGH / shape.flops)))
            weights = [torch.full((shape.outer, shape.inner), 0.5, dtype=shape.dtype) for _ in range(number)]
            taken = []
            if shape.back:
                given = torch.ones(shape.rows, shape.outer, dtype=shape.dtype)
                weights = [weight.T for weight in weights]
            else:
                given = torch.ones(shape.rows, shape.inner, dtype=shape.dtype)
            for _ in range(REPEATS):
                start = time.process_time()
                for weight in weights:
                    nn.functional.linear(given, weight)
                taken.append((time.process_time() - start) / number)
            self.known[shape] = sorted(taken)[REPEATS // 2]
        return self.known[shape]
