"""What changes during a run: what is spent, where the run stands, which chains are stopped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.ledger import Ledger
from sea_toolkit.problem.backward import Backward


@dataclass
class RunState:
    """The moving part of a run.

    Attributes:
        ledger: what has been spent; checkpoints store it separately.
        clock: where the run stands.
        stopped: `[P, C]`, chains that met a NaN and no longer move.
        incidents: what a person should know, one sentence each.
        backward: finds out who is at fault when a gradient fails.
    """

    ledger: Ledger
    clock: Clock
    stopped: Bool[Tensor, "P C"]
    incidents: list[str] = field(default_factory=list)
    backward: Backward = field(default_factory=Backward, repr=False)

    @classmethod
    def begin(cls, ledger: Ledger, clock: Clock, prompts: int, chains: int, device: torch.device) -> RunState:
        """The state at the start of a run: no chain is stopped."""
        return cls(ledger, clock, torch.zeros(prompts, chains, dtype=torch.bool, device=device))

    def stop(self, owner: str, broken: Bool[Tensor, "P n"]) -> None:
        """Stop the chains whose energy is not finite, and note which.

        Args:
            owner: the energy's plugin.
            broken: the chains. A mask of another shape is about texts that are not chains; they are only noted.
        """
        what = f"energy {owner!r} was not finite at step {self.clock.step}"
        if broken.shape != self.stopped.shape:
            self.incidents.append(f"{int(broken.sum())} texts left out: {what}")
            return
        for p, c in (broken & ~self.stopped).nonzero().tolist():
            self.incidents.append(f"prompt {p + 1}, chain {c + 1} stopped: {what}")
        self.stopped = self.stopped | broken

    def state(self) -> dict[str, Any]:
        """For a checkpoint; the ledger and the clock are stored separately."""
        return {"stopped": self.stopped, "incidents": list(self.incidents)}

    def load_state(self, state: dict[str, Any]) -> None:
        self.stopped, self.incidents = state["stopped"], list(state["incidents"])
