"""Where memory is used up, the work is done again with fewer rows at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from sea_toolkit.core.free_memory import give_back_free_memory
from sea_toolkit.errors import OutOfMemoryError
from sea_toolkit.lm.micro_batches import MicroBatches
from sea_toolkit.registry.blame import is_out_of_memory
from sea_toolkit.util import ranks
from sea_toolkit.util.sizes import MEMORY_LIMIT, bytes_of

Done = TypeVar("Done")


def asked_limit(limit: str | int | None) -> int | None:
    """The bytes of a memory limit, or of that in the environment; None where there is none.

    Raises:
        RecipeError: it is no amount of memory.
    """
    if limit is not None:
        return bytes_of(limit, "memory_limit")
    set_by = os.environ.get(MEMORY_LIMIT)
    return bytes_of(set_by, MEMORY_LIMIT) if set_by else None


def with_less_memory(
    work: Callable[[], Done], where: str, sizes: MicroBatches, undo: Callable[[], None]
) -> tuple[Done, str | None]:
    """Do it, and again with half as many rows at once, at last one block by block, as long as memory is used up. Not
    where several processes do the run: the others are in the midst of a pass that this one has left.

    Args:
        work: what is to be done.
        where: in the run, for the note.
        sizes: of the run's passes.
        undo: called before each further try.

    Returns:
        What `work` returned, and a note if memory was used up.

    Raises:
        OutOfMemoryError: one row at a time is too much.
        Exception: what `work` raised, as it was.
    """
    note = None
    while True:
        try:
            return work(), note
        except Exception as error:
            out_of_memory = isinstance(error, OutOfMemoryError) or is_out_of_memory(error)
            if not out_of_memory or ranks.size() > 1 or not sizes.shrink():
                raise
        # outside of the clause: the error, and with it the tensors of the frames that it holds, is gone
        rows = "one row goes" if sizes.most == 1 else f"at most {sizes.most} rows go"
        rows += " block by block" if sizes.by_block else ""
        note = f"out of memory {where}: {rows} through a model at once from there on"
        give_back_free_memory()
        undo()
