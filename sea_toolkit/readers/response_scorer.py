"""What all scorers of a run's responses have in common: a response is read once for several energies."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.meter import BackwardPass, backward_passes
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.sequence_classifier import ClassifierReader


@dataclass(frozen=True)
class _Read:
    """One reading of a response.

    Attributes:
        response: what was read; the reading goes with it, and so does its graph.
        outputs: `[P, C, L]`.
        has_graph: autograd was on.
        backward: what a backward pass through it costs.
    """

    response: weakref.ref[SoftResponse]
    outputs: Tensor
    has_graph: bool
    backward: list[BackwardPass]


class ResponseScorer(ABC):
    """Outputs `[P, C, L]` of a sequence classifier for the responses of a run.

    Args:
        reader: of texts.
        context: of the run.

    Attributes:
        prompts: P texts.
        warnings: what a person should know of the outputs.
    """

    def __init__(self, reader: ClassifierReader, context: Context) -> None:
        self.reader, self.shown, self.prompts = reader, reader.shown, list(context.prompts)
        self.warnings: list[str] = []
        self._ledger = context.ledger
        self._latest: _Read | None = None

    def __call__(self, response: SoftResponse) -> Float[Tensor, "P C L"]:
        """All outputs, float32, on the response's device; its soft end is cut where survival falls below one half.

        The outputs of a text that has more tokens than the model can read are NaN, unless it may be truncated. They are
        kept for other energies that ask for another of them: one pass forward serves all. Where each energy goes back
        by itself (through `GradientTaps`), each pass back is counted.
        """
        known = self._latest
        if known is not None and known.response() is response and (known.has_graph or not torch.is_grad_enabled()):
            if torch.is_grad_enabled() and response.taps is not None:
                for name, tokens, parameters in known.backward:
                    self._ledger.backward(name, tokens, parameters)
            return known.outputs
        with backward_passes() as backward:
            outputs = self.outputs(response).to(response.ids.device)
        self._latest = _Read(weakref.ref(response, self._forget), outputs, torch.is_grad_enabled(), backward)
        if outputs.requires_grad and response.taps is None:
            outputs.register_hook(self._forget)  # the pass back frees the graph
        return outputs

    @property
    def fingerprint(self) -> str | None:
        """Stands for what the gradient depends on beside the two models, if there is anything."""
        return None

    def warnings_about(self, output: int) -> list[str]:
        """The warnings, with what a person should know of this output, given by its index."""
        return self.warnings

    @abstractmethod
    def outputs(self, response: SoftResponse) -> Float[Tensor, "P C L"]:
        """All outputs, read anew."""

    def _forget(self, _: object) -> None:
        self._latest = None
