"""The responses to some of a batch's prompts, as a response of their own whose gradients reach the whole."""

from __future__ import annotations

from dataclasses import replace

from jaxtyping import Int
from torch import Tensor

from sea_toolkit.core.gradient_taps import GradientTaps, TokenGradient
from sea_toolkit.core.response import SoftResponse


def select_prompts(response: SoftResponse, prompts: Int[Tensor, " n"]) -> SoftResponse:
    """The responses `[n, C, …]` to the prompts at these places, each place once at most.

    What an energy reads of them has its gradient in the whole: through the weights, or through the whole's taps.
    """
    return replace(
        response,
        weights=response.weights[prompts],
        candidates=None if response.candidates is None else response.candidates[prompts],
        ids=response.ids[prompts],
        alive=response.alive[prompts],
        taps=None if response.taps is None else _SelectedTaps(response.taps, prompts, len(response.ids)),
        texts=None if response.texts is None else [response.texts[p] for p in prompts.tolist()],
        log_prob=None if response.log_prob is None else response.log_prob[prompts],
    )


class _SelectedTaps(GradientTaps):
    """The taps of some prompts: their perturbations are rows of those of the whole batch.

    Args:
        whole: taps of all prompts.
        prompts: the places `[n]` of those that are read.
        size: P.
    """

    def __init__(self, whole: GradientTaps, prompts: Int[Tensor, " n"], size: int) -> None:
        super().__init__()
        self._whole, self._prompts, self._size = whole, prompts, size

    def on_embedding(self, value: Tensor, table: Tensor) -> Tensor:
        return value + self._whole.on_embedding(self._blank(value), table)[self._prompts]

    def on_tokens(self, value: Tensor, wanted: Tensor) -> Tensor:
        return value + self._whole.on_tokens(self._blank(value), wanted)[self._prompts]

    def on_own_tokens(self, value: Tensor, names: Tensor) -> Tensor:
        everyone = self._blank(names).index_copy(0, self._prompts, names)
        return value + self._whole.on_own_tokens(self._blank(value), everyone)[self._prompts]

    def gradient(self, total: Tensor, *, keep_graph: bool = False) -> TokenGradient:
        return self._whole.gradient(total, keep_graph=keep_graph)

    def _blank(self, rows: Tensor) -> Tensor:
        """Zeros of the shape that `rows` would have for all prompts."""
        return rows.new_zeros((self._size, *rows.shape[1:]))
