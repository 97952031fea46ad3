"""Classifiers that read the text alone, without a gradient, and the energies of classifiers of either kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor

from sea_toolkit.problem.energy import BoundEnergy
from sea_toolkit.readers.pairwise_reader import PairwiseReader
from sea_toolkit.readers.response_scorer import ResponseScorer
from sea_toolkit.readers.sequence_classifier import ClassifierReader


class TextScorer:
    """Outputs `[N, L]` of a model that cannot be read through its embeddings, exactly those of its own forward.

    Args:
        reader: of texts.

    Attributes:
        warnings: what a person should know of the outputs.
    """

    def __init__(self, reader: ClassifierReader | PairwiseReader) -> None:
        self.reader = reader
        self.warnings = [
            f"{reader.name} reads the text alone, so it has no gradient: it takes part in what is accepted and "
            f"chosen ({reader.ids_only})"
        ]
        self._latest: tuple[tuple[str, ...], tuple[str, ...], Tensor] | None = None

    def __call__(self, prompts: Sequence[str], texts: Sequence[str]) -> Float[Tensor, "N L"]:
        """All outputs, float32; kept for a second energy that asks for another of them."""
        asked = (tuple(prompts), tuple(texts))
        if self._latest is None or self._latest[:2] != asked:
            self._latest = (*asked, self.reader.texts(prompts, texts))
        return self._latest[2]


def bound_outputs(
    scorer: ResponseScorer | TextScorer, energy: Callable[[Tensor], Tensor], output: int, *, is_reward: bool
) -> BoundEnergy:
    """An energy of a classifier's outputs, with a gradient where the scorer has one.

    Args:
        scorer: gives the outputs.
        energy: from outputs `[…, L]` to `[…]`.
        output: the one that counts most, by its index.
        is_reward: higher is better, and the energy is its negative.
    """
    if isinstance(scorer, TextScorer):
        return BoundEnergy(
            score_text=lambda prompts, texts: energy(scorer(prompts, texts)),
            is_reward=is_reward,
            warnings=scorer.warnings,
        )
    return BoundEnergy(
        energy=lambda response: energy(scorer(response)),
        is_reward=is_reward,
        warnings=scorer.warnings_about(output),
        fingerprint=scorer.fingerprint,
    )
