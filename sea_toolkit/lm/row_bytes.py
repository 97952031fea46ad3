"""What a pass takes for each of its rows: the first row is run once, and its tensors are counted."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sea_toolkit.core.live_bytes import LiveBytes, TooManyBytesError
from sea_toolkit.core.meter import parameters_used, uncounted
from sea_toolkit.lm.architecture import FAILURES, agree
from sea_toolkit.lm.block_checkpoints import blocks_of, checkpointed_blocks
from sea_toolkit.util import ranks

Read = Callable[[slice, Tensor], Tensor]
"""A pass over some of the rows: which, and their embeddings `[rows, n, D]`, to one output for each row."""

_GUESS = 4.0
"""Numbers that a pass keeps per token, at most, for each weight of the model over its width."""


class RowBytes:
    """Bytes of a row, found out once for each kind of pass of a run."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], float] = {}
        self._weights: dict[int, int] = {}
        self._works: dict[int, bool] = {}

    def guess(self, model: nn.Module, rows: Float[Tensor, "rows n D"]) -> float:
        """Rather too many: by the model's size."""
        if id(model) not in self._weights:
            self._weights[id(model)] = parameters_used(model)
        return _GUESS * self._weights[id(model)] / rows.shape[2] * rows.shape[1] * rows.element_size()

    def of(
        self,
        model: nn.Module,
        rows: Float[Tensor, "rows n D"],
        read: Read,
        context: int,
        most: float,
        *,
        by_block: bool,
    ) -> float:
        """As they were counted, the way back included where there is one; infinite if they are more than `most`.

        Args:
            model: what is run.
            rows: its embeddings.
            read: the pass.
            context: tokens before each row; those of one binary magnitude count as equal.
            most: where counting ends.
            by_block: with `checkpointed_blocks`.
        """
        back = torch.is_grad_enabled() and rows.requires_grad
        key = (id(model), rows.shape[1], context.bit_length(), rows.dtype, back, by_block)
        if key not in self._known:
            most = most if ranks.size() == 1 else math.inf  # none of several processes may leave the pass alone
            read = by_blocks(model, read) if by_block else read
            self._known[key] = ranks.most(bytes_of_row(rows, read, back=back, most=most))
        return self._known[key]

    def works_by_block(self, model: nn.Module, rows: Float[Tensor, "rows n D"], read: Read) -> bool:
        """Whether a model gives the same when its blocks are checkpointed; a block that reads the cache of another one
        does not."""
        if id(model) not in self._works:
            self._works[id(model)] = bool(blocks_of(model)) and _same(rows[:1].detach(), read, by_blocks(model, read))
        return self._works[id(model)]


def by_blocks(model: nn.Module, read: Read) -> Read:
    """The same pass, which keeps the inputs of the blocks alone."""

    def small(part: slice, rows: Tensor) -> Tensor:
        with checkpointed_blocks(model):
            return read(part, rows)

    return small


def bytes_of_row(rows: Float[Tensor, "rows n D"], read: Read, *, back: bool, most: float = math.inf) -> float:
    """Bytes that a pass over the first row allocates at its peak; infinite if they are more than `most`.

    Args:
        rows: embeddings.
        read: the pass.
        back: a gradient runs back.
        most: where counting ends.
    """
    try:
        with uncounted(), torch.set_grad_enabled(back), LiveBytes(most) as live:
            first = rows[:1].detach().clone().requires_grad_(back)
            states = read(slice(0, 1), first)
            if back:
                torch.autograd.grad(states.sum(), first)
    except TooManyBytesError:
        return math.inf
    return float(live.peak)


def _same(first: Float[Tensor, "1 n D"], read: Read, other: Read) -> bool:
    """Whether two ways to take a pass give the same for a row."""
    one = slice(0, 1)
    with uncounted():
        with torch.no_grad():
            right = read(one, first)
        try:
            with torch.enable_grad():
                tried = other(one, first.clone().requires_grad_()).detach()
        except torch.OutOfMemoryError:
            raise
        except FAILURES:
            return False
    return agree(tried, right, first.dtype)
