"""How many bytes of tensors are alive at once: also of tensors without numbers, on torch's meta device."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class TooManyBytesError(Exception):
    """More bytes of tensors are alive than there may be."""


class LiveBytes(TorchDispatchMode):
    """Within a `with` block, counts what operations allocate until it is freed.

    Tensors that were there before do not count, views count once.

    Args:
        most: end the block by a `TooManyBytesError` as soon as more than this are alive; None: never.

    Attributes:
        now: bytes alive.
        peak: the most there were.
    """

    def __init__(self, most: float | None = None) -> None:
        super().__init__()
        self.most = most
        self.now = self.peak = 0
        self._known: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        before = {part.untyped_storage()._cdata for part in _tensors((args, kwargs))}
        returned = func(*args, **(kwargs or {}))
        for part in _tensors(returned):
            if part.untyped_storage()._cdata not in before:
                self._add(part)
        return returned

    def _add(self, part: Tensor) -> None:
        storage = part.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        self._known[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, key)
        if self.most is not None and self.now > self.most:
            raise TooManyBytesError

    def _free(self, key: int) -> None:
        self.now -= self._known.pop(key, 0)


def _tensors(value: Any) -> Iterator[Tensor]:
    """Those that an operation takes or returns; torch's own tree_flatten takes ten times as long for so few."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, dict):
        yield from _tensors([*value.values()])
