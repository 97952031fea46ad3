"""What changes during a run: what is spent, where the run stands, which chains are stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.ledger import Ledger
from sea_toolkit.problem.backward import Backward
from sea_toolkit.problem.multipliers import Multipliers
from sea_toolkit.problem.reread import Reread
from sea_toolkit.problem.weighing import Weighing

FEW_PROMPTS = 3
"""As many have a line each; more have one together."""


@dataclass
class RunState:
    """The moving part of a run.

    Attributes:
        ledger: what has been spent; checkpoints store it separately.
        clock: where the run stands.
        stopped: `[P, C]`, chains that met a number that is not finite and no longer move.
        stops: (what was not finite, the step) → the chains that it stopped, as (prompt, chain).
        left_out: what was not finite in texts that are no chains → how many, the first step, the last one.
        backward: finds out who is at fault when a gradient fails.
        weighing: what the weights depend on besides the recipe; checkpoints store it separately.
        multipliers: what its limits count; checkpoints store them separately.
        reread: how many texts the policy has to read again; checkpoints store it separately.
    """

    ledger: Ledger
    clock: Clock
    stopped: Bool[Tensor, "P C"]
    stops: dict[tuple[str, int], list[tuple[int, int]]] = field(default_factory=dict)
    left_out: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    backward: Backward = field(default_factory=Backward, repr=False)
    weighing: Weighing = field(default_factory=Weighing)
    multipliers: Multipliers = field(default_factory=Multipliers)
    reread: Reread = field(default_factory=Reread)
    _notes: list[str] = field(default_factory=list)

    @classmethod
    def begin(cls, ledger: Ledger, clock: Clock, prompts: int, chains: int, device: torch.device) -> RunState:
        """The state at the start of a run: no chain is stopped."""
        return cls(ledger, clock, torch.zeros(prompts, chains, dtype=torch.bool, device=device))

    @property
    def incidents(self) -> list[str]:
        """What a person should know, one sentence each."""
        stops = [line for (what, step), chains in self.stops.items() for line in self._stopped(what, step, chains)]
        return [*self._notes, *stops, *(_counted(what, *seen) for what, seen in self.left_out.items())]

    def note(self, incident: str) -> None:
        """Keep a sentence for the result; the same one is kept once."""
        if incident not in self._notes:
            self._notes.append(incident)

    def stop(self, what: str, broken: Bool[Tensor, "P n"]) -> None:
        """Stop the chains that met a number that is not finite, and note which and what it was.

        Args:
            what: whose number it is, such as "energy 'sea-toolkit:reward'".
            broken: the chains. A mask of another shape is about texts that are not chains; they are only counted.
        """
        if broken.shape != self.stopped.shape:
            texts, (count, first, _) = int(broken.sum()), self.left_out.get(what, (0, self.clock.step, 0))
            if texts:
                self.left_out[what] = count + texts, first, self.clock.step
            return
        chains = [(p, c) for p, c in (broken & ~self.stopped).nonzero().tolist()]
        if chains:
            self.stops.setdefault((what, self.clock.step), []).extend(chains)
        self.stopped = self.stopped | broken

    @contextmanager
    def beside_the_chains(self) -> Iterator[None]:
        """Within this block texts are scored that are no chains: a number that is not finite stops none."""
        stopped = self.stopped
        try:
            yield
        finally:
            self.stopped = stopped

    def _stopped(self, what: str, step: int, chains: list[tuple[int, int]]) -> list[str]:
        """A line for each prompt, or one for many of them."""
        by_prompt: dict[int, list[int]] = {}
        for p, c in chains:
            by_prompt.setdefault(p + 1, []).append(c + 1)
        said, number = f"stopped: {what} was not finite at step {step}", self.stopped.shape[1]
        if len(by_prompt) > FEW_PROMPTS:
            named = ", ".join(map(str, list(by_prompt)[:FEW_PROMPTS]))
            return [f"{len(chains)} chains of {len(by_prompt)} prompts ({named}, …) {said}"]
        return [f"prompt {p}, {_chains(those, number)} {said}" for p, those in by_prompt.items()]

    def state(self) -> dict[str, Any]:
        """For a checkpoint; the ledger and the clock are stored separately."""
        left_out = {what: list(seen) for what, seen in self.left_out.items()}
        stops = [[what, step, [list(chain) for chain in chains]] for (what, step), chains in self.stops.items()]
        return {"stopped": self.stopped, "notes": list(self._notes), "stops": stops, "left_out": left_out}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where `state()` was taken."""
        self.stopped, self._notes = state["stopped"], list(state["notes"])
        self.stops = {(what, step): [(p, c) for p, c in chains] for what, step, chains in state["stops"]}
        self.left_out = {what: (count, first, last) for what, (count, first, last) in state["left_out"].items()}


def _chains(those: list[int], number: int) -> str:
    if len(those) == 1:
        return f"chain {those[0]}"
    return "all its chains" if len(those) == number else f"chains {', '.join(map(str, those))}"


def _counted(what: str, count: int, first: int, last: int) -> str:
    texts = "1 text" if count == 1 else f"{count} texts"
    when = f"at step {first}" if first == last else f"in steps {first} to {last}"
    return f"{texts} left out: {what} was not finite {when}"
