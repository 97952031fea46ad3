"""What a person should know of a run that went nowhere: everything was rejected, or the budget paid for no step."""

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

    def notes(self, sampler: str) -> list[str]:
        """A note on each prompt whose chains never moved."""
        return [
            f"prompt {p + 1}: {sampler} rejected every proposal of all chains in {self.steps} steps; "
            "a smaller step size, weight or inverse temperature accepts more"
            for p, n in enumerate(self.accepted)
            if n == 0
        ]

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"steps": self.steps, "accepted": list(self.accepted)}

    def load_state(self, state: dict[str, Any]) -> None:
        self.steps, self.accepted = state["steps"], list(state["accepted"])


def budget_notes(budget: float, spent: float, steps: int) -> list[str]:
    """A note if the budget (in samples per prompt) was below the cost of the start and one step."""
    if steps == 0:
        return [f"the budget of {budget:g} samples went into the prompts and the starting texts: no step was taken"]
    if steps == 1 and spent > 1.1 * budget:
        return [f"the budget of {budget:g} samples is less than the start and one step cost: {spent:.1f} were spent"]
    return []
