"""What a model made of a response, kept for other energies that ask the same model: one pass forward serves all."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.meter import BackwardPass, backward_passes
from sea_toolkit.core.response import SoftResponse


@dataclass(frozen=True)
class _Read:
    """One reading of a response.

    Attributes:
        response: what was read; the reading goes with it, and so does its graph.
        outputs: of the model.
        has_graph: autograd was on.
        backward: what a backward pass through it costs.
    """

    response: weakref.ref[SoftResponse]
    outputs: Tensor
    has_graph: bool
    backward: list[BackwardPass]


class SharedReading:
    """The latest reading of one model in a run.

    Where the sum of all energies is differentiated, they share the pass back as well. Where each goes back by itself
    (through `GradientTaps`), each pass back is counted.

    Args:
        ledger: of the run.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._latest: _Read | None = None

    def of(self, response: SoftResponse, read: Callable[[SoftResponse], Tensor]) -> Tensor:
        """What `read` makes of a response: as it was kept, or made now."""
        known = self._latest
        if known is not None and known.response() is response and (known.has_graph or not torch.is_grad_enabled()):
            if torch.is_grad_enabled() and response.taps is not None:
                for name, tokens, parameters in known.backward:
                    self._ledger.backward(name, tokens, parameters)
            return known.outputs
        with backward_passes() as backward:
            outputs = read(response)
        self._latest = _Read(weakref.ref(response, self._forget), outputs, torch.is_grad_enabled(), backward)
        if outputs.requires_grad and response.taps is None:
            outputs.register_hook(self._forget)  # the pass back frees the graph
        return outputs

    def _forget(self, _: object) -> None:
        self._latest = None
