"""What a run tells whoever watches it: plain data, no tensors and nothing of the run itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Table = list[list[float]]
"""A number for each prompt and chain; nan and infinities are possible."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """What observers and the command line are told.

    Attributes:
        kind: "start" (before the first step), "step", "checkpoint" or "end".
        run: the run's identity, different from that of any other run, also of another process.
        step: steps done; `steps`: planned, None if the run is given a budget.
        progress: part of the run that is done.
        energy: the lowest re-scored energy so far of each prompt.
        samples: spent per prompt.
        texts: the best text so far of each prompt.
        metrics: numbers of the step by name, per prompt and chain.
    """

    kind: Literal["start", "step", "checkpoint", "end"]
    run: str
    step: int
    steps: int | None
    progress: float
    energy: list[float]
    samples: float
    texts: list[str]
    metrics: dict[str, Table] = field(default_factory=dict)
