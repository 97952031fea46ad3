"""How many bytes of tensors are alive at once: also of tensors without numbers, on torch's meta device."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten


class LiveBytes(TorchDispatchMode):
    """Within a `with` block, counts what operations allocate until it is freed.

    Tensors that were there before do not count, views count once.

    Attributes:
        now: bytes alive.
        peak: the most there were.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        before = {part.untyped_storage()._cdata for part in tree_flatten((args, kwargs))[0] if isinstance(part, Tensor)}
        returned = func(*args, **(kwargs or {}))
        for part in tree_flatten(returned)[0]:
            if isinstance(part, Tensor) and part.untyped_storage()._cdata not in before:
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

    def _free(self, key: int) -> None:
        self.now -= self._known.pop(key, 0)
