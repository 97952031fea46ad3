"""Processes that torchrun has started, as the ranks of one run: how they find each other, and what they send."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from sea_toolkit.errors import ModelError
from sea_toolkit.util import ranks

PATIENCE = timedelta(minutes=30)
"""How long a process waits for another one, whose reward server may take its time, before it gives up."""

_LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun tells the processes that it starts."""


def launched() -> int:
    """How many processes torchrun has started, this one among them, or have found each other; 1 if there are none."""
    if not dist.is_available():
        return 1
    if dist.is_initialized():
        return dist.get_world_size()
    return int(os.environ["WORLD_SIZE"]) if all(name in os.environ for name in _LAUNCHED) else 1


@dataclass
class TorchRanks:
    """Ranks that talk by torch.distributed.

    Attributes:
        group: for what is no tensor of a model; it is on the CPU, whatever the models are on.
        store: for what a process says at its end; None where the caller has made the process group.
    """

    rank: int
    size: int
    group: Any
    store: Any = field(default=None, repr=False)

    def told(self, value: Any) -> Any:
        """The first process's value, in all of them."""
        box = [value]
        dist.broadcast_object_list(box, src=0, group=self.group, device=torch.device("cpu"))
        return box[0]

    def gathered(self, value: Any) -> list[Any]:
        """The values of all processes, in their order."""
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value, group=self.group)
        return found

    def say_failed(self, message: str) -> None:
        """Let the others know by what this process has ended."""
        if self.store is not None:
            self.store.set(_failed(self.rank), message)

    def failures(self, wait: float = 0.0) -> Mapping[int, str]:
        """What the others have ended by.

        Args:
            wait: seconds to wait for word from the first process.
        """
        if self.store is None:
            return {}
        if wait:
            try:
                self.store.wait([_failed(0)], timedelta(seconds=wait))
            except dist.DistNetworkError:  # it has ended, and with it what it said
                return {0: ""}
            except dist.DistError:
                return {}
        others = [i for i in range(self.size) if i != self.rank and self.store.check([_failed(i)])]
        return {i: self.store.get(_failed(i)).decode(errors="replace") for i in others}


class _Joined:
    """What `join` has found."""

    ranks: TorchRanks | None = None


def _failed(rank: int) -> str:
    return f"sea_toolkit/failed/{rank}"


def join() -> TorchRanks:
    """Become one of the processes that torchrun has started, on the accelerator that it has for this one.

    Raises:
        ModelError: they do not find each other.
    """
    kind, store = device_type(), None
    try:
        if not dist.is_initialized():
            if kind != "cpu":
                torch.accelerator.set_device_index(int(os.environ["LOCAL_RANK"]))
            store, rank, size = next(dist.rendezvous("env://", timeout=PATIENCE))
            # as transformers would do it, which takes the group that it finds
            backend = dist.get_default_backend_for_device(kind)
            device = torch.device(kind, int(os.environ["LOCAL_RANK"])) if backend == "nccl" else None
            dist.init_process_group(
                backend, store=store, rank=rank, world_size=size, timeout=PATIENCE, device_id=device
            )
        group = dist.new_group(backend="gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelError(
            f"the processes of torchrun do not find each other: {str(error).partition(chr(10))[0]}",
            expected="processes that torchrun has started, all of them running",
        ) from error
    joined = _Joined.ranks = TorchRanks(dist.get_rank(), dist.get_world_size(), group, store)
    ranks.begin(joined)
    return joined


def leave() -> None:
    """The run is over, in all processes."""
    ranks.end()
    _Joined.ranks = None
    dist.destroy_process_group()


def device_type() -> str:
    """Of the devices that the parts of a model are put on: the accelerator's, if there is one."""
    return torch.accelerator.current_accelerator().type if torch.accelerator.is_available() else "cpu"  # type: ignore[union-attr]


def same(values: Tensor) -> Tensor:
    """The first process's tensor, in all of them: where a kernel rounds otherwise from one call to the next, they would
    drift apart."""
    joined = _Joined.ranks
    if joined is None:
        return values
    values = values.detach().contiguous()
    # that of an accelerator takes its own tensors alone
    dist.broadcast(values, src=0, group=joined.group if values.device.type == "cpu" else None)
    return values


def whole(weight: Tensor) -> Tensor:
    """A weight of which this process holds a part, whole; all processes have to ask."""
    if _Joined.ranks is None:
        return weight
    from torch.distributed.tensor import DTensor

    full: Tensor = weight.full_tensor() if isinstance(weight, DTensor) else weight
    return full
