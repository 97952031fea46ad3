"""How many rows go through a model at once: as many as the memory holds.

Rows do not know of each other, so a pass over many of them may be taken in parts. Where a gradient runs back, a part
keeps nothing but its rows and is run again on the way back (Chen et al. 2016, arXiv 1604.06174): the activations of one
part exist at a time. Its tokens are counted once, so that a run of a budget takes the same steps. Where one row is too
much, its blocks are run again one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sea_toolkit.core.free_memory import free_memory, memory_in_use
from sea_toolkit.core.meter import uncounted
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.row_bytes import Read, RowBytes, by_blocks
from sea_toolkit.util import ranks
from sea_toolkit.util.sizes import in_words

SHARE = 0.8
"""Of free memory, that a run takes where no limit is set."""
_KEPT = 0.25
"""Of the room, that a pass may take which keeps its activations until the way back: several models may do so."""
PART = 0.5
"""Of the room, that a part of a pass may take; the rest is for what lives beside it."""


@dataclass(frozen=True)
class Portion:
    """How a pass is taken.

    Attributes:
        rows: at once, at most.
        keeps: what a part computes is kept for the way back.
        by_block: of each block only its input.
    """

    rows: int
    keeps: bool
    by_block: bool = False


class MicroBatches:
    """Sizes of the passes of one run.

    Args:
        limit: bytes that this process may use on a device, models included; None: most of what is free.

    Attributes:
        most: rows at once at most, since memory was used up; None: that has not happened.
        by_block: memory was used up by one row.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.most: int | None = None
        self.by_block = False
        self._largest = 0
        self._rooms: dict[torch.device, float] = {}
        self._bytes = RowBytes()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Within the block, passes are of these sizes."""
        token = _ACTIVE.set(self)
        try:
            yield
        finally:
            _ACTIVE.reset(token)

    def look_again(self) -> None:
        """Other models were loaded: what is free is another amount now."""
        self._rooms.clear()

    def shrink(self) -> bool:
        """Memory was used up: half as many rows at once from now on, at last block by block; false if it was that
        already, or no pass was taken."""
        if self._largest == 0 or self.by_block:
            return False
        self.by_block = self._largest == 1
        self.most, self._largest = max(1, self._largest // 2), 0
        return True

    def portion(self, model: nn.Module, rows: Float[Tensor, "rows n D"], read: Read, context: int) -> Portion:
        """How to take a pass over embeddings.

        Args:
            model: what is run.
            rows: the embeddings.
            read: the pass.
            context: tokens before each row.

        Raises:
            RecipeError: the limit leaves no room for one row.
        """
        number, room = len(rows), self.room(rows.device)
        if not self.by_block and number * self._bytes.guess(model, rows) <= _KEPT * room:
            return self._at_most(number, number, keeps=True)
        each, by_block = self._row(model, rows, read, context, room)
        if each > room and self.limit is not None:
            raise RecipeError(
                f"one row of {rows.shape[1]} tokens does not fit: the memory limit of {in_words(self.limit)} leaves "
                f"{in_words(room)} to {type(model).__name__}",
                expected="a larger memory limit",
                hint="shorter answers (--max-new-tokens), a smaller model, or dtype = bfloat16",
            )
        fits = int(min(number, PART * room / each)) if each else number  # a room may be infinite
        return self._at_most(number, fits, keeps=number * each <= _KEPT * room, by_block=by_block)

    def _row(self, model: nn.Module, rows: Tensor, read: Read, context: int, room: float) -> tuple[float, bool]:
        """Bytes of a row, and whether its blocks are checkpointed."""
        back = torch.is_grad_enabled() and rows.requires_grad
        if not (back and self.by_block):  # a row as a whole was too much
            each = self._bytes.of(model, rows, read, context, room, by_block=False)
            if not back or each <= PART * room:
                return each, False
        by_block = self._bytes.works_by_block(model, rows, read)
        return self._bytes.of(model, rows, read, context, room, by_block=by_block), by_block

    def at_most(self, number: int) -> int:
        """How many of a number of rows to read at once, as far as it is known from memory that was used up."""
        return self._at_most(number, number, keeps=False).rows

    def fitting(self, number: int, each: float, device: torch.device) -> int:
        """How many of a number of vectors to work on at once, where each takes so many bytes."""
        room = self.room(device)
        return number if number * each <= _KEPT * room else max(1, min(number, int(PART * room / each)))

    def room(self, device: torch.device) -> float:
        """Bytes for passes on a device.

        Raises:
            RecipeError: what is loaded takes all of the limit.
        """
        if device in self._rooms and (self.limit is None or device.type != "cuda"):
            return self._rooms[device]
        if self.limit is None:
            room = ranks.least(SHARE * free_memory(device))
        else:
            used = memory_in_use(device)
            room = ranks.least(self.limit - used)
            if room <= 0:
                raise RecipeError(
                    f"a memory limit of {in_words(self.limit)}, and {in_words(used)} are in use before the first pass",
                    expected="more than the models take",
                    hint="a smaller model, or dtype = bfloat16 (--dtype)",
                )
        self._rooms[device] = room
        return room

    def _at_most(self, number: int, fits: int, *, keeps: bool, by_block: bool = False) -> Portion:
        """As many parts as are needed, of about one size."""
        most = max(1, min(number, fits, number if self.most is None else self.most))
        rows = math.ceil(number / math.ceil(number / most)) if number else 1
        self._largest = max(self._largest, rows)
        return Portion(rows, keeps and rows >= number and self.most is None, by_block)


_ACTIVE: ContextVar[MicroBatches | None] = ContextVar("sea_toolkit_micro_batches", default=None)


def rows_at_once(number: int) -> int:
    """So many rows, or fewer in a run that has used up its memory."""
    sizes = _ACTIVE.get()
    return number if sizes is None else sizes.at_most(number)


def vectors_that_fit(number: int, each: float, device: torch.device) -> int:
    """So many, or as many of them as the run's memory holds.

    Args:
        number: of vectors, such as logits.
        each: bytes that are needed for one.
        device: where.
    """
    sizes = _ACTIVE.get()
    return number if sizes is None else sizes.fitting(number, each, device)


def in_micro_batches(
    model: nn.Module, rows: Float[Tensor, "rows n D"], read: Read, context: int = 0
) -> Float[Tensor, "rows *output"]:
    """A pass over rows of embeddings, in as many parts as the memory asks for.

    Args:
        model: what is run.
        rows: its embeddings.
        read: the pass, differentiable in the embeddings alone.
        context: tokens before each row.

    Raises:
        RecipeError: see `MicroBatches.portion`.
    """
    sizes, number = _ACTIVE.get(), len(rows)
    if sizes is None or number == 0:
        return read(slice(0, number), rows)
    portion = sizes.portion(model, rows, read, context)
    read = by_blocks(model, read) if portion.by_block else read
    parts = [slice(start, min(start + portion.rows, number)) for start in range(0, number, portion.rows)]
    if portion.keeps or not (torch.is_grad_enabled() and rows.requires_grad):
        outputs = [read(part, rows[part]) for part in parts] if len(parts) > 1 else [read(parts[0], rows)]
    else:
        outputs = [_again_on_the_way_back(read, part, rows[part]) for part in parts]
    return torch.cat(outputs) if len(outputs) > 1 else outputs[0]


def _again_on_the_way_back(read: Read, part: slice, rows: Tensor) -> Tensor:
    """The pass over a part, which keeps nothing; it is counted the first time."""
    runs = 0

    def run(rows: Tensor) -> Tensor:
        nonlocal runs
        runs += 1
        if runs == 1:
            return read(part, rows)
        with uncounted():
            return read(part, rows)

    states: Tensor = checkpoint(run, rows, use_reentrant=False, preserve_rng_state=False)
    return states
