"""How many rows go through a model at once: as many as the memory holds.

Rows do not know of each other, so a pass over many of them may be taken in parts. Where a gradient runs back, a part
keeps nothing but its rows and is run again on the way back (Chen et al. 2016, arXiv 1604.06174): the activations of one
part exist at a time. Its tokens are counted once, so that a run of a budget takes the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sea_toolkit.core.free_memory import free_memory, memory_in_use
from sea_toolkit.core.live_bytes import LiveBytes
from sea_toolkit.core.meter import parameters_used, uncounted
from sea_toolkit.errors import RecipeError
from sea_toolkit.util.sizes import in_words

Read = Callable[[slice, Tensor], Tensor]
"""A pass over some of the rows: which, and their embeddings `[rows, n, D]`, to one output for each row."""

SHARE = 0.8
"""Of free memory, that a run takes where no limit is set."""
_KEPT = 0.25
"""Of the room, that a pass may take which keeps its activations until the way back: several models may do so."""
_PART = 0.5
"""Of the room, that a part of a pass may take; the rest is for what lives beside it."""
_GUESS = 4.0
"""Numbers that a pass keeps per token, at most, for each weight of the model over its width."""


@dataclass(frozen=True)
class Portion:
    """How a pass is taken.

    Attributes:
        rows: at once, at most.
        keeps: the activations are kept for the way back.
    """

    rows: int
    keeps: bool


class MicroBatches:
    """Sizes of the passes of one run.

    Args:
        limit: bytes that this process may use on a device, models included; None: most of what is free.

    Attributes:
        most: rows at once at most, since memory was used up; None: that has not happened.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.most: int | None = None
        self._largest = 0
        self._rooms: dict[torch.device, float] = {}
        self._row_bytes: dict[tuple[object, ...], float] = {}
        self._guesses: dict[int, float] = {}

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

    def halve(self) -> bool:
        """Memory was used up: half as many rows at once from now on; false if it was one row already."""
        if self._largest <= 1:
            return False
        self.most, self._largest = self._largest // 2, 0
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
        number, length, width = rows.shape
        room, back = self.room(rows.device), torch.is_grad_enabled() and rows.requires_grad
        if number * self._guess(model, width, length, rows) <= _KEPT * room:
            return self._at_most(number, number, keeps=True)
        key = (id(model), length, context.bit_length(), rows.dtype, back)
        if key not in self._row_bytes:
            self._row_bytes[key] = bytes_of_row(rows, read, back=back)
        each = self._row_bytes[key]
        if each > room and self.limit is not None:
            raise RecipeError(
                f"one row of {length} tokens takes {in_words(each)} in {type(model).__name__}, and the memory limit of "
                f"{in_words(self.limit)} leaves {in_words(room)}",
                expected="a larger memory limit",
                hint="shorter answers (--max-new-tokens), a smaller model, or dtype = bfloat16",
            )
        return self._at_most(number, int(_PART * room / each) if each else number, keeps=number * each <= _KEPT * room)

    def fitting(self, number: int, each: float, device: torch.device) -> int:
        """How many of a number of rows to work on at once, where each takes so many bytes."""
        if number * each <= _KEPT * self.room(device):
            return self._at_most(number, number, keeps=False).rows
        return self._at_most(number, int(_PART * self.room(device) / each), keeps=False).rows

    def room(self, device: torch.device) -> float:
        """Bytes for passes on a device.

        Raises:
            RecipeError: what is loaded takes all of the limit.
        """
        if device in self._rooms and (self.limit is None or device.type != "cuda"):
            return self._rooms[device]
        if self.limit is None:
            room = SHARE * free_memory(device)
        else:
            used = memory_in_use(device)
            room = self.limit - used
            if room <= 0:
                raise RecipeError(
                    f"a memory limit of {in_words(self.limit)}, and {in_words(used)} are in use before the first pass",
                    expected="more than the models take",
                    hint="a smaller model, or dtype = bfloat16 (--dtype)",
                )
        self._rooms[device] = room
        return room

    def _at_most(self, number: int, fits: int, *, keeps: bool) -> Portion:
        """As many parts as are needed, of about one size."""
        most = max(1, min(number, fits, number if self.most is None else self.most))
        rows = math.ceil(number / math.ceil(number / most)) if number else 1
        self._largest = max(self._largest, rows)
        return Portion(rows, keeps and rows >= number and self.most is None)

    def _guess(self, model: nn.Module, width: int, length: int, rows: Tensor) -> float:
        """Bytes that a row takes, rather too many."""
        if id(model) not in self._guesses:
            self._guesses[id(model)] = _GUESS * parameters_used(model)
        return self._guesses[id(model)] / width * length * rows.element_size()


_ACTIVE: ContextVar[MicroBatches | None] = ContextVar("sea_toolkit_micro_batches", default=None)


def rows_at_once(number: int, each: float, device: torch.device) -> int:
    """So many rows, or as many of them as the run's memory holds.

    Args:
        number: of rows.
        each: bytes that a row takes; 0 if that is not known.
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


def bytes_of_row(rows: Float[Tensor, "rows n D"], read: Read, *, back: bool) -> float:
    """Bytes that a pass over the first row allocates at its peak, with the way back or without."""
    with uncounted(), torch.set_grad_enabled(back), LiveBytes() as live:
        first = rows[:1].detach().clone().requires_grad_(back)
        states = read(slice(0, 1), first)
        if back:
            torch.autograd.grad(states.sum(), first)
    return float(live.peak)
