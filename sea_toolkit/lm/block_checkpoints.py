"""Activation checkpointing by blocks: a pass keeps the input of each block, and runs the block again on the way back.

Chen et al. 2016 (arXiv 1604.06174). transformers' own switch (`gradient_checkpointing_enable`) is for training: a model
in eval mode passes it by, and a cache is not used with it. Here a block is given a copy of the cache, which it extends
each time it runs.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import DynamicCache

from sea_toolkit.lm.architecture import FAILURES
from sea_toolkit.lm.truncate import count_layers

_ONE_AT_A_TIME = threading.RLock()
"""Held while the blocks of a model are changed: two threads would put back each other's changes."""


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """The blocks of a transformers model; none where they are not one list."""
    try:
        total = count_layers(model)
    except FAILURES:
        return []
    lists = (part for part in model.modules() if isinstance(part, nn.ModuleList) and len(part) == total)
    return list(next(lists, ()))


@contextmanager
def checkpointed_blocks(model: nn.Module) -> Iterator[None]:
    """Within the block, passes of a model with a gradient keep little; other passes are as they were."""
    with _ONE_AT_A_TIME:
        changed = [(block, vars(block).get("forward"), block.forward) for block in blocks_of(model)]
        try:
            for block, _, run in changed:
                block.forward = _checkpointed(run)
            yield
        finally:
            for block, own, _ in changed:
                if own is None:
                    vars(block).pop("forward", None)
                else:
                    block.forward = own


def _checkpointed(run: Callable[..., Any]) -> Callable[..., Any]:
    """The pass of a block, which leaves every cache as it is."""

    def again(*args: Any, **kwargs: Any) -> Any:
        return run(*map(_own, args), **{name: _own(value) for name, value in kwargs.items()})

    def forward(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return run(*args, **kwargs)
        return checkpoint(again, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)

    return forward


def _own(value: Any) -> Any:
    """A cache of the same keys and values that can grow by itself; anything else as it is."""
    if not isinstance(value, DynamicCache):
        return value
    cache = DynamicCache()
    cache.layers = [copy.copy(layer) for layer in value.layers]  # a layer grows by new tensors
    return cache
