"""The weights of a recipe's targets, from base answers; and what to say where there are none."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.base_answers import BaseAnswers
from sea_toolkit.evaluation.targets import LEAST, Answers, Tilted, highest, weights_for


def weights_of_targets(
    wanted: Mapping[str, float], answers: BaseAnswers, deviations: Mapping[str, float], scales: Mapping[str, float]
) -> Tilted | None:
    """The weights of the terms with a target, per deviation; None if there are none.

    Args:
        wanted: label → quantile.
        answers: of the policy.
        deviations: label → deviation over them.
        scales: label → what the term is divided by.

    Raises:
        RecipeError: a target is beyond what the answers show, or targets contradict each other.
    """
    if not wanted:
        return None
    gains = torch.stack([-answers.values[label] / deviations[label] for label in wanted], -1)
    given = answers.nll.clone()
    for label, share in answers.weighted.items():
        if label not in wanted:
            given = given - share / scales[label]
    base, targets = Answers.of(gains, given), list(wanted.values())
    alone = base.under(torch.zeros(len(wanted), dtype=torch.float64)).effective
    if alone < LEAST:
        raise RecipeError(
            f"under the weights that the recipe gives, {alone:.1f} of {gains.shape[1]} answers per prompt count: too "
            "few to find the others",
            expected=f"at least {LEAST:g}",
            hint="more answers (--samples), smaller weights, or a want for these terms too",
        )
    found = weights_for(base, base.quantiles(targets))
    if not found.reached:
        raise _unreachable(base, wanted, found)
    return found


def _unreachable(base: Answers, wanted: Mapping[str, float], found: Tilted) -> RecipeError:
    """The error for targets that the base answers do not show: which of them, and how far one gets."""
    samples = base.given.shape[1]
    more = f"a lower want, or more answers: --samples {4 * samples}"
    for j, (label, want) in enumerate(wanted.items()):
        one = base.only(j)
        if not weights_for(one, one.quantiles([want])).reached:
            (best,) = highest(one, [want])
            return RecipeError(
                f"{label}: want = {want:g} is beyond what {samples} answers per prompt show",
                expected=f"at most want = {_floor(best)}",
                hint=more,
            )
    reached = highest(base, list(wanted.values()))
    together = " and ".join(f"{label} at want = {_floor(q)}" for label, q in zip(wanted, reached, strict=True))
    correlation, labels = base.correlation().tolist(), list(wanted)
    pairs = [(i, j) for i in range(len(labels)) for j in range(i + 1, len(labels))]
    shown = ", ".join(f"{labels[i]} and {labels[j]} {correlation[i][j]:+.2f}" for i, j in pairs)
    return RecipeError(
        f"the targets of {' and '.join(wanted)} contradict each other: each can be reached, and not all at once "
        f"({found.effective:.1f} answers per prompt would count; correlation among answers: {shown})",
        expected=f"for example {together}",
        hint=more,
    )


def _floor(quantile: float) -> str:
    return f"{math.floor(quantile * 100) / 100:.2f}"
