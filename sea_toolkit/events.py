"""What a run tells whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from sea_toolkit.problem import Problem
    from sea_toolkit.result import Result


@dataclass(frozen=True)
class Event:
    """What observers and the command line are told.

    Attributes:
        kind: "start" (before the first step), "step", "checkpoint" or "end".
        step: steps done; `steps`: planned, None if the run is given a budget.
        progress: part of the run that is done.
        energy: the lowest re-scored energy so far of each prompt.
        metrics: numbers of the step, per prompt and chain.
        samples: spent per prompt.
        texts: the best text so far of each prompt.
        problem: what is being worked on.
    """

    kind: Literal["start", "step", "checkpoint", "end"]
    step: int
    steps: int | None
    progress: float
    energy: list[float]
    samples: float
    texts: list[str]
    problem: Problem
    metrics: dict[str, Any] = field(default_factory=dict)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a run: `results` holds what there is, and the folder (if any) can be resumed."""

    def __init__(self, results: list[Result]) -> None:
        super().__init__("interrupted")
        self.results = results
