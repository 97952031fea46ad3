"""What passes over an answer cost, in the unit of budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sea_toolkit.lm.policy import Policy
from sea_toolkit.problem.locked_prefix import LockedPrefix
from sea_toolkit.problem.run_state import RunState
from sea_toolkit.problem.terms import Term


@dataclass(frozen=True, kw_only=True)
class SampleCosts:
    """What drawing, reading and scoring cost in a problem of these models; the attributes are those of `Problem`."""

    policy: Policy
    length: int
    terms: Sequence[Term]
    run: RunState
    locked: LockedPrefix | None = None

    @property
    def sample_flops(self) -> float:
        """The unit of budgets: FLOPs of drawing one response of the run's length and scoring it once."""
        drawing = 2.0 * (self.policy.body_parameters + self.policy.head_parameters)
        return drawing * self.length + self.scoring_flops * (self.length + len(self.locked or ()))

    @property
    def scoring_flops(self) -> float:
        """FLOPs per token of scoring an answer once by the models of all energies."""
        return sum(t.meter.flops_per_token for t in self.terms)

    def samples_of(self, drawings: float, scorings: float) -> float:
        """What so many passes of the policy over an answer and scorings of it by all rewards cost, in samples."""
        unit = self.sample_flops
        drawing = 2.0 * (self.policy.body_parameters + self.policy.head_parameters) * self.length
        return (drawings * drawing + scorings * (unit - drawing)) / unit

    @property
    def reading_cost(self) -> float:
        """What it costs to read a new text again, in samples, times the part of texts that must be."""
        return self.run.reread.share * self.drawing_cost(self.length)

    @property
    def writing_cost(self) -> float:
        """What an answer of the policy costs in samples before it is scored: drawn, and some of them read again."""
        return self.drawing_cost(self.length) + self.reading_cost

    @property
    def answer_cost(self) -> float:
        """What an answer of the policy costs in samples, drawn and scored."""
        return self.writing_cost + self.samples_of(0.0, 1.0)

    def drawing_cost(self, tokens: int) -> float:
        """What drawing the last tokens of a response costs, in samples; the first one of all comes with the prompt."""
        body, head = self.policy.body_parameters, self.policy.head_parameters
        return 2.0 * (body * (tokens - (tokens == self.length)) + head * tokens) / self.sample_flops
