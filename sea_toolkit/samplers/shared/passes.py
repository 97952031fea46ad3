"""How a budget is divided into passes from the first token to the last, in which each chain keeps one text and draws
others."""

from __future__ import annotations

from dataclasses import dataclass

from sea_toolkit.core.ledger import ROUNDING
from sea_toolkit.problem.problem import Problem
from sea_toolkit.samplers.shared.left_to_right import ends_of, scoring_cost

SCOUTED = 0.2
"""Part of the budget, at most, that goes to the first pass where nothing tells the direction yet."""


@dataclass(frozen=True)
class Pass:
    """One pass.

    Attributes:
        drawn: texts that each chain draws.
        reads: unfinished texts are weighed.
        learns: the gradients of the texts drawn are read.
    """

    drawn: int
    reads: bool
    learns: bool


@dataclass(frozen=True)
class Prices:
    """What a pass costs each chain, in samples.

    Attributes:
        keep: for the text it keeps.
        keep_read: to weigh that text while it is unfinished.
        draw: for each text it draws, scored in the end.
        draw_read: to weigh it while it is unfinished.
        learn: for its gradients.
    """

    keep: float
    keep_read: float
    draw: float
    draw_read: float
    learn: float

    @classmethod
    def of(cls, problem: Problem, chunk: int, *, read: bool, gradient_flops: float) -> Prices:
        """Those of a problem.

        Args:
            problem: of the run.
            chunk: tokens between two weightings.
            read: whether these take a pass of the rewards.
            gradient_flops: of the gradients in one text.
        """
        scoring = problem.samples_of(0.0, 1.0)
        reading = scoring_cost(problem, ends_of(problem.length, chunk)[:-1]) if read else 0.0
        keep = problem.drawing_cost(problem.length) if problem.guides else 0.0
        keep += scoring if problem.is_time_dependent else 0.0
        return cls(keep, reading, problem.answer_cost, reading, gradient_flops / problem.sample_flops)

    def cost(self, one: Pass) -> float:
        """Of a pass."""
        each = self.draw + (self.draw_read if one.reads else 0.0) + (self.learn if one.learns else 0.0)
        return self.keep + (self.keep_read if one.reads else 0.0) + one.drawn * each

    def affordable(self, left: float, passes: int, *, learns: bool) -> int:
        """How many texts each of so many equal passes can draw; the last one learns nothing."""
        fixed, each = self.keep + self.keep_read, self.draw + self.draw_read
        lessons = (passes - 1) * self.learn if learns else 0.0
        return int((left - passes * fixed) / max(passes * each + lessons, 1e-9) + ROUNDING)


@dataclass(frozen=True)
class Planner:
    """Decides on passes.

    Attributes:
        prices: of passes.
        scouts: texts drawn in the first pass, at most.
        particles: texts drawn in each of the others, at most.
        scouted: whether there is something to be learned in the first pass.
        learns: whether the rewards have gradients.
    """

    prices: Prices
    scouts: int
    particles: int
    scouted: bool
    learns: bool

    def next(self, budget: float | None, left: float | None, passes: int) -> Pass:
        """The next pass: as few as possible, of equal size, use up what is left.

        Args:
            budget: of each chain, in samples; None where steps are given.
            left: of it.
            passes: that are done.
        """
        begins = self.scouted and passes == 0
        if budget is None or left is None:
            return Pass(self.scouts if begins else self.particles, not begins, self.learns)
        if begins:
            price = self.prices.draw + (self.prices.learn if self.learns else 0.0)
            first = Pass(min(self.scouts, int(SCOUTED * budget / price)), False, self.learns)
            rest = left - self.prices.cost(first)
            if first.drawn and self.prices.affordable(rest, 1, learns=self.learns) >= 2:
                return first
        count = 1
        while (drawn := self.prices.affordable(left, count, learns=self.learns)) > self.particles:
            count += 1
        return Pass(max(1, drawn), True, self.learns and count > 1)
