"""A classifier that takes no embeddings: the exact value of the text, and the scores of single words for a gradient."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.bridge import Bridge
from sea_toolkit.readers.piece_alignment import is_text, texts_of
from sea_toolkit.readers.response_scorer import ResponseScorer
from sea_toolkit.readers.sequence_classifier import ClassifierReader


class WordScorer(ResponseScorer):
    """Outputs `[P, C, L]` of a classifier that reads token ids alone (T5, BART).

    Args:
        reader: of texts.
        bridge: measured.
        context: of the run.
    """

    def __init__(self, reader: ClassifierReader, bridge: Bridge, context: Context) -> None:
        super().__init__(reader, context)
        assert bridge.measured is not None
        self.policy, self.bridge, self.prior = context.policy, bridge, bridge.measured.prior
        self.warnings.append(
            f"{self.shown.name} takes no embeddings: its value is exact, its gradient is the scores of single words "
            f"(rank correlation with what a word does in a text: {bridge.measured.fidelity[0].all.words:.2f})"
        )

    @property
    def fingerprint(self) -> str | None:
        return self.bridge.fingerprint

    def outputs(self, response: SoftResponse) -> Float[Tensor, "P C L"]:
        p, c = response.shape[:2]
        prompts = [prompt for prompt in self.prompts for _ in range(c)]
        values = self.reader.texts(prompts, texts_of(response, self.policy)).unflatten(0, (p, c))
        values = values.to(response.ids.device)
        return values if is_text(response) else self.prior.guide(values, response, response.content > 0.5)
