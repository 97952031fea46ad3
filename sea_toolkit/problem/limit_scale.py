"""What the first texts of a run show of its limits: units, how stiff a limit is, and where its multiplier starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

FEW_TEXTS = 4
"""Fewer texts than this, of all prompts together, show no scale."""

STIFFNESS = 1.0
"""Twice what a text as far outside as is typical pays at λ = 0, in spreads of the rest of the energy."""

LARGEST = 10.0
"""Largest multiplier: so many spreads of the rest of the energy for a text as far outside as is typical."""

NEAREST = 0.2
"""Least that counts as a typical excess, in units: texts that are only just outside would make a limit a wall."""

FARTHEST = 1.0
"""Excess of one text that moves a multiplier at most, in units: a single bad text says little about the next."""

TRIED = 64
"""Starting points that are tried, from 0 to the largest multiplier."""


@dataclass(frozen=True)
class Scale:
    """Of one limit.

    Attributes:
        unit: standard deviation of its reading; where it is the same for all texts its mean excess, and 1 where that
            is 0.
        stiffness: ρ, in nats per squared unit of the reading.
        largest: λ_max, in nats per unit of the reading.
    """

    unit: float
    stiffness: float
    largest: float

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return asdict(self)


def scale_of(excess: Float[Tensor, "P n E"], rest: Float[Tensor, "P n"]) -> Scale:
    """The scale of a limit.

    Args:
        excess: of the first texts over each end.
        rest: their energy without limits.
    """
    farthest = excess.amax(-1)
    outside = farthest[farthest.isfinite() & (farthest > 0)].double()
    size = farthest[farthest.isfinite()].double().abs()
    unit = spread(excess[..., 0]) or (float(size.mean()) if len(size) else 0.0) or 1.0
    typical = min(unit, max(NEAREST * unit, float(outside.mean()))) if len(outside) else unit
    nats = spread(rest) or 1.0
    return Scale(unit, STIFFNESS * nats / typical**2, LARGEST * nats / typical)


def spread(values: Float[Tensor, "P n"]) -> float:
    """The standard deviation within prompts, pooled; the one over all texts where that is 0; 0 where there is none."""
    known = values.isfinite()
    numbers = torch.where(known, values.double(), 0.0)
    count = known.sum(1, keepdim=True)
    off = torch.where(known, numbers - numbers.sum(1, keepdim=True) / count.clamp(min=1), 0.0)
    freedom = int((count - 1).clamp(min=0).sum())
    within = float(off.square().sum() / max(1, freedom)) ** 0.5
    overall = float(numbers[known].std()) if int(known.sum()) > 1 else 0.0
    noise = 1e-6 * float(numbers.abs().max())
    return next((size for size in (within, overall) if size > noise), 0.0)


def outside(excess: Mapping[str, Float[Tensor, "P n"]], scales: Mapping[str, Scale]) -> dict[str, Float[Tensor, "P n"]]:
    """How far outside of each limit texts lie, in its units; 0 inside. What is no number is infinitely far."""
    return {
        label: (value / scales[label].unit).nan_to_num(torch.inf, torch.inf, 0.0).clamp(min=0.0)
        for label, value in excess.items()
    }


def starting_multipliers(
    excess: Mapping[str, Float[Tensor, "P n E"]],
    rest: Float[Tensor, "P n"],
    scales: Mapping[str, Scale],
    labels: Sequence[str],
) -> dict[str, Float[Tensor, "P E"]]:
    """The smallest multipliers with which the text that a choice would take has the lowest energy of the first ones:
    the best inside all limits, or the least far outside. They are as large as a first move would make them, at least.

    Args:
        excess: label → of the first texts over each end.
        rest: their energy without limits.
        scales: of all limits.
        labels: of those with multipliers.
    """
    rest = rest.nan_to_num(torch.inf, torch.inf, torch.inf)
    violation = torch.stack(list(outside({k: v.amax(-1) for k, v in excess.items()}, scales).values())).sum(0)
    least = violation.amin(1, keepdim=True)
    chosen = torch.where(violation == least, rest, torch.inf).argmin(1)
    factors = torch.linspace(0.0, 1.0, TRIED, dtype=torch.float64, device=rest.device)[:, None, None]
    # [tried, P, E]: ends that no first text has crossed are left alone
    tried = {k: factors * scales[k].largest * (excess[k] > 0).any(1).double() for k in labels}
    total = rest.double().expand(TRIED, -1, -1)
    for label in labels:
        share = augmented(excess[label].double(), tried[label][:, :, None], scales[label].stiffness)
        total = total + share.sum(-1)
    wins = total.nan_to_num(torch.inf, torch.inf, torch.inf).argmin(-1) == chosen
    first = torch.where(wins.any(0), wins.int().argmax(0), 0)  # of each prompt
    starts = {}
    for label in labels:
        winning = torch.stack([tried[label][at, p] for p, at in enumerate(first.tolist())]).float()
        pushed = scales[label].stiffness * bounded_mean(excess[label], scales[label].unit)
        starts[label] = torch.maximum(winning, pushed).clamp(0.0, scales[label].largest)
    return starts


def augmented(excess: Tensor, multiplier: Tensor, stiffness: float) -> Tensor:
    """ψ of an excess, in nats: see `multipliers`."""
    return ((multiplier + stiffness * excess).clamp(min=0.0).square() - multiplier.square()) / (2 * stiffness)


def bounded_mean(excess: Float[Tensor, "P n E"], unit: float) -> Float[Tensor, "P E"]:
    """The mean over a prompt's texts, each bounded by `FARTHEST` units; 0 where none is a number."""
    known = ~excess.isnan()
    bounded = torch.where(known, excess, 0.0).clamp(-FARTHEST * unit, FARTHEST * unit)
    return bounded.sum(1) / known.sum(1).clamp(min=1)
