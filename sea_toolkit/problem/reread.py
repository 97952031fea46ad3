"""How many texts are cut into other tokens than they were drawn in: the policy reads those again for its charge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Bool
from torch import Tensor


@dataclass
class Reread:
    """A count over a run.

    Attributes:
        learns: from every text; else from the first ones alone, so that what a step is expected to cost does not follow
            the texts that the chains have met.
        texts: that were counted.
        again: that had to be read again.
    """

    learns: bool = True
    texts: int = 0
    again: int = 0

    def look(self, same: Bool[Tensor, "P n"]) -> None:
        """Count texts; `same` tells which are cut into the tokens that they were drawn in."""
        if self.learns or not self.texts:
            self.texts, self.again = self.texts + same.numel(), self.again + int((~same).sum())

    @property
    def share(self) -> float:
        """Part of the texts that is read again; a few texts do not say that none is, or all are."""
        return (self.again + 0.25) / (self.texts + 2) if self.texts else 0.0

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"texts": self.texts, "again": self.again}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where `state()` was taken."""
        self.texts, self.again = state["texts"], state["again"]
