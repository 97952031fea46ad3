"""What all scorers of a run's responses have in common: a response is read once for several energies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.readers.sequence_classifier import ClassifierReader


class ResponseScorer(ABC):
    """Outputs `[P, C, L]` of a sequence classifier for the responses of a run.

    Args:
        reader: of texts.
        prompts: P texts.

    Attributes:
        warnings: what a person should know of the outputs.
    """

    def __init__(self, reader: ClassifierReader, prompts: Sequence[str]) -> None:
        self.reader, self.shown, self.prompts = reader, reader.shown, list(prompts)
        self.warnings: list[str] = []
        self._latest: tuple[SoftResponse, Tensor] | None = None

    def __call__(self, response: SoftResponse) -> Float[Tensor, "P C L"]:
        """All outputs, float32; the response's soft end is cut where survival falls below one half.

        The outputs of a text that has more tokens than the model can read are NaN, unless it may be truncated. Outputs
        without a graph are kept for a second energy that asks for another of them.
        """
        if self._latest is not None and self._latest[0] is response:
            return self._latest[1]
        outputs = self.outputs(response)
        self._latest = None if outputs.requires_grad else (response, outputs)
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
