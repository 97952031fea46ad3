"""What base answers say of each term, for the table of `calibrate`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.evaluation.base_answers import BaseAnswers

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class TermStatistics:
    """One term over the base answers; of a reward with its sign.

    Attributes:
        label: its name in results.
        is_reward: higher is better.
        mean: over all answers.
        deviation: the standard deviation of the answers to a prompt, pooled; 0 where they all have one value.
        between: the standard deviation of the prompts' means.
        quantiles: of all answers, at `QUANTILES`.
        weight: at the end of a run, mean over prompts; that of a target is found here.
        scale: what the term is divided by.
        share: of Σ |weight| / scale · deviation over all terms.
        want: its target, as a quantile; None without one.
    """

    label: str
    is_reward: bool
    mean: float
    deviation: float
    between: float
    quantiles: dict[float, float]
    weight: float
    scale: float
    share: float
    want: float | None


def statistics_of(
    answers: BaseAnswers,
    deviations: Mapping[str, float],
    weights: Mapping[str, float],
    scales: Mapping[str, float],
    wanted: Mapping[str, float],
) -> list[TermStatistics]:
    """One entry for each term.

    Args:
        answers: of the policy.
        deviations: label → deviation over them.
        weights: label → weight at the end of a run.
        scales: label → what the term is divided by.
        wanted: label → quantile, of terms with a target.
    """
    nats = {label: abs(weights[label]) / scales[label] * deviations[label] for label in answers.values}
    total, found = sum(nats.values()), []
    for label, values in answers.values.items():
        is_reward = label in answers.is_reward
        mean, between, quantiles = _spread(-values if is_reward else values)
        share = nats[label] / total if total else 0.0
        found.append(
            TermStatistics(
                label, is_reward, mean, deviations[label], between, quantiles, weights[label], scales[label], share,
                wanted.get(label),
            )
        )  # fmt: skip
    return found


def _spread(values: Float[Tensor, "P n"]) -> tuple[float, float, dict[float, float]]:
    """Mean, deviation between prompts, and quantiles of what is finite; NaN where nothing is."""
    known = values[values.isfinite()]
    if not len(known):
        return math.nan, math.nan, dict.fromkeys(QUANTILES, math.nan)
    means = torch.stack([row[row.isfinite()].mean() for row in values if bool(row.isfinite().any())])
    between = float(means.std()) if len(means) > 1 else 0.0
    return float(known.mean()), between, {q: float(known.quantile(q)) for q in QUANTILES}
