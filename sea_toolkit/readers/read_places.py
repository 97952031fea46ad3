"""At which tokens a model's head reads a text: found out with a gradient, whatever the head is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.architecture import FAILURES
from sea_toolkit.lm.truncate import last_block
from sea_toolkit.readers.placed_text import Row
from sea_toolkit.readers.sequence_classifier import ClassifierReader


def read_places(reader: ClassifierReader, row: Row) -> list[int] | None:
    """The positions whose states after the last block the outputs depend on; None if the blocks are not understood.

    Attention is over by then: a head that reads one token has a gradient there alone, the mean over some at those.

    Args:
        reader: of a classifier.
        row: a text that it has read.
    """
    try:
        block = last_block(reader.model)
    except ModelError:
        return None
    leaves: list[Tensor] = []

    def detach(module: Any, inputs: Any, output: Any) -> Any:
        states = output if isinstance(output, Tensor) else output[0]
        leaves.append(states.detach().requires_grad_())
        return leaves[-1] if isinstance(output, Tensor) else (leaves[-1], *output[1:])

    hook = block.register_forward_hook(detach)
    try:
        with torch.enable_grad():
            outputs = reader.of_row(row)
        gradient = torch.autograd.grad(outputs.sum(), leaves[-1])[0]
    except FAILURES:
        return None
    finally:
        hook.remove()
    moved = gradient.reshape(-1, *gradient.shape[-2:])[0].abs().amax(-1)
    if len(moved) != len(row.ids):
        return None
    return moved.nonzero().flatten().tolist()
