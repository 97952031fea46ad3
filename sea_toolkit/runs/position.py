"""What of a run can be saved and restored: the contract of its parts, and how far it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol


class Stateful(Protocol):
    """A part of a run that changes with it: taken back where a step is interrupted, saved and restored with the run."""

    def state(self) -> Any:
        """Tables, lists, tuples and dataclasses of tensors, numbers and texts, independent of later changes."""

    def load_state(self, state: Any) -> None:
        """Go on from there."""


@dataclass
class Position:
    """How far a run is.

    Attributes:
        step: steps done.
        last_cost: samples per prompt that the last step cost.
        scored_last_step: whether its texts have been scored.
        planned: samples per prompt that start and steps were expected to cost, where that is known ahead.
    """

    step: int = 0
    last_cost: float = 0.0
    scored_last_step: bool = False
    planned: float = 0.0

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return asdict(self)

    def load_state(self, state: dict[str, Any]) -> None:
        self.step, self.last_cost = state["step"], state["last_cost"]
        self.scored_last_step, self.planned = state["scored_last_step"], state["planned"]
