"""The last steps of a budget, made to fit what is left of it: fewer chains, another cut.

A step with a given cut and any fixed choice of chains keeps the law of its chains. So the law stands as long as the
choice follows from the cuts that were drawn and from what steps were expected to cost, never from the texts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Int
from torch import Tensor

from sea_toolkit.problem.problem import Problem

ROUNDING = 1e-6
"""Samples: sums of FLOPs that are equal on paper."""


class Fitted(NamedTuple):
    """A step: how many chains take it, how many tokens they keep, what it costs in samples (inf where none fits)."""

    chains: int
    cut: int
    cost: float


def fitted(cost: Callable[[int, int], float], chains: int, length: int, cut: int, left: float | None) -> Fitted:
    """The step as it is drawn, unless it is more than what is `left`, or leaves less than the smallest step costs.

    Then it is the step with the nearest cut, and of those the one with most chains, that spends all but what a token
    costs, or leaves enough for another.

    Args:
        cost: `cost(chains, cut)` in samples: it grows with the chains and falls with the cut.
        chains: C.
        length: T; a cut keeps 0 to T − 1 tokens.
        cut: as it is drawn.
        left: samples, or None.
    """
    whole = Fitted(chains, cut, cost(chains, cut))
    smallest = cost(1, length - 1)
    if left is None or left + ROUNDING >= whole.cost + smallest:
        return whole
    best, least = Fitted(1, length - 1, float("inf")), (float("inf"), 0, 0)
    for n in range(1, chains + 1):
        for at in range(length):
            spent = cost(n, at)
            rest = left - spent
            if rest < -ROUNDING:
                continue
            wasted = 0.0 if rest + ROUNDING >= smallest or (at and cost(n, at - 1) > left) else max(0.0, rest)
            order = (wasted, abs(at - cut), chains - n)
            if order < least:
                best, least = Fitted(n, at, spent), order
    return best


Chains = TypeVar("Chains")


def take_chains(problem: Problem, rows: Int[Tensor, "P m"], state: Chains) -> Chains:
    """Some chains of a state: of its tensors `[P, C, …]`, and `[P·C, …]` as keys and values are. What the chains share
    stays as it is."""
    p, c = len(problem.prompts), problem.chains
    flat = (rows + c * torch.arange(p, device=rows.device)[:, None]).flatten()

    def take(tensor: Tensor) -> Tensor:
        if tuple(tensor.shape[:2]) == (p, c):
            return tensor.flatten(0, 1)[flat].unflatten(0, tuple(rows.shape))
        return tensor[flat] if tensor.shape[0] == p * c else tensor

    return _mapped(lambda tensors: take(tensors[0]), [state])


def put_chains(problem: Problem, rows: Int[Tensor, "P m"], part: Chains, state: Chains) -> Chains:
    """The state with some of its chains as they are in `part`, and what the chains share as it is there."""
    p, c = len(problem.prompts), problem.chains
    flat = (rows + c * torch.arange(p, device=rows.device)[:, None]).flatten()

    def put(tensors: list[Tensor]) -> Tensor:
        new, old = tensors
        if tuple(old.shape[:2]) == (p, c):
            return old.flatten(0, 1).index_copy(0, flat, new.flatten(0, 1)).unflatten(0, (p, c))
        return old.index_copy(0, flat, new) if old.shape[0] == p * c else new

    return _mapped(put, [part, state])


def _mapped(change: Callable[[list[Tensor]], Tensor], states: list[Chains]) -> Chains:
    first = states[0]
    if isinstance(first, Tensor):
        return change(states)  # type: ignore[arg-type, return-value]
    if isinstance(first, list | tuple):
        return type(first)(_mapped(change, list(parts)) for parts in zip(*states, strict=True))
    if dataclasses.is_dataclass(first) and not isinstance(first, type):
        names = [f.name for f in dataclasses.fields(first)]
        return dataclasses.replace(first, **{n: _mapped(change, [vars(s)[n] for s in states]) for n in names})
    return first
