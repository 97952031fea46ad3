"""What is left of a budget when it pays for no further step: answers of the policy, which compete with those met."""

from __future__ import annotations

from sea_toolkit.core.noise import Noise
from sea_toolkit.lm.decoding import decode
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.scores import Scored


def answers_for_the_rest(problem: Problem, noise: Noise, budget: float) -> Scored | None:
    """As many answers as come nearest to the budget, scored; no chain begins from them, so every law stays what it is.

    Args:
        problem: of the run.
        noise: the run's streams.
        budget: of the run, in samples per prompt.

    Returns:
        P × n answers, or None where half an answer is more than there is.
    """
    n = round((budget - problem.ledger.samples) / problem.answer_cost)
    if n < 1 or bool(problem.stopped.all()):
        return None
    drawn = decode(problem.policy, problem.prefix, noise.uniform(n, problem.length), ledger=problem.ledger)
    with problem.run.beside_the_chains():
        return problem.score_as_text(drawn.ids, drawn.log_prob)
