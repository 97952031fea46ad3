"""How many proposals a run has accepted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass
class AcceptanceCounter:
    """Accepted proposals over a run, per prompt.

    Attributes:
        steps: steps that reported which chains accepted their proposal.
        accepted: proposals accepted, all chains of a prompt together.
    """

    steps: int = 0
    accepted: list[int] = field(default_factory=list)

    def count(self, metrics: dict[str, Tensor]) -> None:
        """Count a step; samplers without the metric `accepted` are not counted."""
        if "accepted" not in metrics:
            return
        now = [int(n) for n in metrics["accepted"].sum(-1).tolist()]
        self.steps += 1
        self.accepted = [a + b for a, b in zip(self.accepted or [0] * len(now), now, strict=True)]

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"steps": self.steps, "accepted": list(self.accepted)}

    def load_state(self, state: dict[str, Any]) -> None:
        self.steps, self.accepted = state["steps"], list(state["accepted"])
