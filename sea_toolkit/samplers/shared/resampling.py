"""Weights of particles, and which of them go on."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

HALVINGS = 20
"""Of the interval in which the factor of `tempered` is looked for."""


def normalized(log_weights: Float[Tensor, "*rows n"]) -> Float[Tensor, "*rows n"]:
    """Weights that sum to one, float64; equal ones where none is above zero."""
    log_weights = _tidy(log_weights)
    alive = log_weights.isfinite().any(-1, keepdim=True)
    return torch.where(alive, log_weights, 0.0).softmax(-1)


def effective(weights: Float[Tensor, "*rows n"]) -> Float[Tensor, "*rows"]:
    """The effective sample size of weights that sum to one."""
    return 1 / weights.square().sum(-1)


def tempered(log_weights: Float[Tensor, "*rows n"], part: float) -> tuple[Tensor, Tensor]:
    """The largest factor of log-weights up to 1 that leaves an effective sample size of a part of n.

    Returns:
        The log-weights times the factor, 0 in place of those that are −inf, `[*rows, n]`; the weights that they make.
    """
    log_weights = _tidy(log_weights)
    enough = part * log_weights.shape[-1]

    def weights(factor: Tensor) -> Tensor:
        return normalized(torch.where(log_weights.isfinite(), log_weights * factor, log_weights))

    low = torch.zeros_like(log_weights[..., :1])
    high = low + 1
    low = torch.where(effective(weights(high))[..., None] < enough, low, high)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        few = effective(weights(middle))[..., None] < enough
        low, high = torch.where(few, low, middle), torch.where(few, middle, high)
    return (log_weights * low).nan_to_num(0.0, 0.0, 0.0), weights(low)


def drawn_by_weight(weights: Float[Tensor, "*rows n"], turn: Float[Tensor, "*rows 1"]) -> Int[Tensor, "*rows 1"]:
    """One index, drawn by weight at a uniform number."""
    return _at(weights, turn.double())


def conditional_systematic(
    weights: Float[Tensor, "*rows n"], turn: Float[Tensor, "*rows 2"]
) -> Int[Tensor, "*rows others"]:
    """The ancestors of all n particles but the first, whose ancestor is itself (Chopin and Singh 2015, algorithm 4).

    Systematic resampling takes n points at equal distances; one uniform number decides where they begin. Given that one
    of them, at random, falls to the first particle, a beginning that leaves it k points is k times as likely.

    Args:
        weights: of n particles; each row sums to one.
        turn: two uniform numbers.
    """
    n = weights.shape[-1]
    turn = turn.double()
    share = n * weights[..., :1]
    whole = share.floor()
    part = share - whole
    more = turn[..., :1] * share < part * (whole + 1)  # it has one point more than the whole part of its share
    begin = torch.where(more, turn[..., 1:] * part, part + turn[..., 1:] * (1 - part))
    # left out is the first point, which falls to the first particle, whatever its share
    return _at(weights, (torch.arange(1, n, device=weights.device) + begin) / n)


def _at(weights: Float[Tensor, "*rows n"], points: Float[Tensor, "*rows m"]) -> Int[Tensor, "*rows m"]:
    """The index whose part of the unit interval holds each point; never one without weight."""
    edges = weights.cumsum(-1)
    last = (weights > 0).long().mul(torch.arange(weights.shape[-1], device=weights.device)).amax(-1, keepdim=True)
    return torch.searchsorted(edges, points * edges[..., -1:], right=True).minimum(last)


def _tidy(log_weights: Float[Tensor, "*rows n"]) -> Float[Tensor, "*rows n"]:
    """float64; what is NaN or +inf counts for nothing."""
    return log_weights.double().nan_to_num(-torch.inf, -torch.inf, -torch.inf)
