"""Weights over objectives for which the worst of them is as good as the policy can make it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from sea_toolkit.problem.terms import Term

SAMPLES = 16
"""Base answers to each prompt that its weights are found on, at least."""

FLAT = 1e-6
"""Gains, in nats, that are rounding."""

MOST_STEPS, TOLERANCE = 5000, 1e-3
"""Of the descent; it ends where no objective is further below the weighted mean than the tolerance, in nats."""


def maximin_weights(gains: Float[Tensor, "P n M"]) -> Float[Tensor, "P M"]:
    """The weights w on the simplex that minimize log mean_n exp(Σ_m w_m z_nm), for each prompt.

    With z the gains of n answers of the policy π, in nats, this is the dual of max_q min_m E_q[z_m] − KL(q‖π): the best
    q is ∝ π exp(Σ w_m z_m), and under it the objectives with a weight have the same mean gain, the lowest of all (Son
    et al. 2025, arXiv 2503.08796, who solve it for each block of a decoding). The problem is convex; it is solved by
    exponentiated gradient steps of a size that follows the descent.

    Args:
        gains: of answers drawn from π. One that is not finite leaves its answer out; without two answers the weights
            are equal. An objective in which all answers are equal cannot be moved, and has no weight beside others.
    """
    sound = gains.isfinite().all(-1, keepdim=True)
    z = gains.double().masked_fill(~sound, 0.0)
    keep = torch.where(sound, 0.0, -torch.inf).double().squeeze(-1)
    keep = keep.masked_fill(sound.squeeze(-1).sum(-1, keepdim=True) < 2, 0.0)
    moves = (z.masked_fill(~sound, -torch.inf).amax(1) - z.masked_fill(~sound, torch.inf).amin(1)) > FLAT
    moves |= ~moves.any(-1, keepdim=True)
    log_w = torch.where(moves, 0.0, -torch.inf).double().log_softmax(-1)
    size = 1.0 / (z.amax((1, 2)) - z.amin((1, 2))).clamp(min=1e-6).square()
    value, slope = _value_and_slope(z, keep, log_w)
    for _ in range(MOST_STEPS):
        least = slope.masked_fill(~moves, torch.inf).amin(-1, keepdim=True)
        gap = (log_w.exp() * slope).sum(-1) - least[:, 0]
        if bool((gap <= TOLERANCE).all()):
            break
        step = size[:, None] * (slope - least)
        moved = (log_w - step).log_softmax(-1)
        after, new = _value_and_slope(z, keep, moved)
        down = (after <= value) & (gap > TOLERANCE)
        log_w = torch.where(down[:, None], moved, log_w)
        value, slope = torch.where(down, after, value), torch.where(down[:, None], new, slope)
        size = torch.where(down, 1.5 * size, 0.5 * size)
    return log_w.exp().to(gains.dtype)


def shares_of(
    terms: Sequence[Term], values: Mapping[str, Tensor], weights: Mapping[str, Sequence[float]], policy: Sequence[float]
) -> dict[str, list[float]]:
    """The share of each term of a maximin group in each prompt, by label; those of a group sum to 1.

    The gain of an answer is what it has above the mean of the policy's own answers to the prompt, in nats: weight times
    value, as they would be with all of the group's weight on one term. It is weighed against nats of −log π.

    Args:
        terms: of the energy.
        values: label → unweighted values `[P, n]` of base answers.
        weights: label → what one unit of the term counts for each prompt, without a share.
        policy: what one nat of −log π counts for each prompt.
    """
    found: dict[str, list[float]] = {}
    for name in dict.fromkeys(term.weight.maximin for term in terms if term.weight.maximin is not None):
        labels = [term.label for term in terms if term.weight.maximin == name]
        energies = torch.stack(
            [values[k].double() * torch.tensor(weights[k], device=values[k].device)[:, None] for k in labels], -1
        )
        means = energies.masked_fill(~energies.isfinite(), torch.nan).nanmean(1, keepdim=True)
        strength = torch.tensor(policy, dtype=torch.float64, device=energies.device).clamp(min=1e-6)
        shares = maximin_weights((means - energies) / strength[:, None, None])
        found |= {label: column.tolist() for label, column in zip(labels, shares.unbind(-1), strict=True)}
    return found


def _value_and_slope(
    z: Float[Tensor, "P n M"], keep: Float[Tensor, "P n"], log_w: Float[Tensor, "P M"]
) -> tuple[Float[Tensor, " P"], Float[Tensor, "P M"]]:
    """The dual at these weights, and its slope: the mean gains under the tilted policy."""
    tilted = (z * log_w.exp()[:, None]).sum(-1) + keep
    return tilted.logsumexp(-1), (tilted.softmax(-1)[..., None] * z).sum(1)
