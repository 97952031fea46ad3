"""What all scorers of a run's responses have in common: a response is read once for several energies."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.readers.shared_reading import SharedReading


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
        self._shared = SharedReading(context.ledger)

    def __call__(self, response: SoftResponse) -> Float[Tensor, "P C L"]:
        """All outputs, float32, on the response's device; its soft end is cut where survival falls below one half.

        The outputs of a text that has more tokens than the model can read are NaN, unless it may be truncated. They are
        kept for other energies that ask for another of them.
        """
        return self._shared.of(response, lambda response: self.outputs(response).to(response.ids.device))

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
