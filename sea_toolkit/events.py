"""What a run tells its observers: plain data, without tensors and without references to the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Table = list[list[float]]
"""A number for each prompt and chain; nan and infinities are possible."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """What observers and the command line are told. Observers must not change it.

    Attributes:
        kind: "start" (before the first step), "step", "checkpoint" or "end".
        run: the run's id, unique also among the runs of other processes.
        step: steps done.
        steps: steps planned; None if the run has a budget instead.
        budget: samples per prompt that it may spend; None if it has steps instead.
        progress: the part of the run that is done, 0 to 1.
        energy: for each prompt the lowest energy of a text so far.
        samples: compute spent per prompt, in samples.
        texts: for each prompt the text with that energy.
        metrics: the sampler's numbers of this step: name → prompts × chains.
    """

    kind: Literal["start", "step", "checkpoint", "end"]
    run: str
    step: int
    steps: int | None
    budget: float | None = None
    progress: float
    energy: list[float]
    samples: float
    texts: list[str]
    metrics: dict[str, Table] = field(default_factory=dict)
