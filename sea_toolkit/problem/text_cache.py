"""What an energy said of a text is not asked again in the same run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.ledger import Ledger
from sea_toolkit.problem.columns import columns_of

Score = Callable[[Sequence[str], Sequence[str]], Tensor]


class TextCache:
    """Values by prompt (with its columns) and text, for an energy that costs no counted compute: a checker, a service.

    Where a call moves the ledger, nothing is kept: a resumed run begins without values, and would count other costs.

    Args:
        ledger: of the run.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._known: dict[tuple[str, str, str], float] = {}
        self._is_on = True

    def ask(self, prompts: Sequence[str], texts: Sequence[str], score: Score) -> Float[Tensor, " N"]:
        """The values of N texts; `score` is asked about those that are new, each once.

        Args:
            prompts: N prompts.
            texts: N texts.
            score: from M prompts and M texts to M numbers.
        """
        if not self._is_on:
            return score(prompts, texts)
        pairs = [(prompt, text, repr(columns_of(prompt))) for prompt, text in zip(prompts, texts, strict=True)]
        new = list(dict.fromkeys(pair for pair in pairs if pair not in self._known))
        if new:
            spent = self.ledger.flops
            values = score([prompt for prompt, _, _ in new], [text for _, text, _ in new])
            self._known |= dict(zip(new, values.tolist(), strict=True))
            self._is_on = self.ledger.flops == spent
        return torch.tensor([self._known[pair] for pair in pairs], dtype=torch.float32)
