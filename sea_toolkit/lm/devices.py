"""Where a model runs and in which precision: from the words of a recipe to torch's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from sea_toolkit.errors import RecipeError


@runtime_checkable
class Placed(Protocol):
    """A model, or the place of one."""

    @property
    def device(self) -> torch.device: ...

    @property
    def dtype(self) -> torch.dtype: ...


@dataclass(frozen=True)
class Placement:
    """Where a model runs, and in which precision.

    Attributes:
        device: of this process's part, where it is shared out.
        dtype: of weights and activations.
        parts: over how many processes its weights are shared out.
    """

    device: torch.device
    dtype: torch.dtype
    parts: int = 1

    @classmethod
    def beside(cls, policy: Placed, device: str | None = None, dtype: str | None = None, parts: int = 1) -> Placement:
        """That of a model beside the policy: the policy's own where nothing else is asked for.

        On another device, the dtype is the fastest one that it computes in.

        Args:
            policy: the policy.
            device: another device, as `pick_device` names it.
            dtype: another dtype, as `pick_dtype` names it.
            parts: see `Placement`.

        Raises:
            RecipeError: no such device.
        """
        place = policy.device if device is None else pick_device(device)
        if dtype is None:
            return cls(place, policy.dtype if place == policy.device else pick_dtype("auto", place), parts)
        return cls(place, pick_dtype(dtype, place), parts)


def pick_device(wanted: str) -> torch.device:
    """The device of a name; "auto" is the first accelerator there is, else the CPU.

    Raises:
        RecipeError: not a device, or not there.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        if device.type == "meta":
            raise RuntimeError("it holds shapes and no numbers")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise RecipeError(f"device {wanted!r} cannot be used: {reason}", hint="auto, cpu, cuda, cuda:1, mps") from error
    return device


def pick_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """The dtype of a name; "auto" is the fastest one the device computes in.

    A CPU without bfloat16 instructions emulates them several times slower than float32.
    """
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[wanted]
    if device.type == "cpu":
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return torch.bfloat16 if native else torch.float32
    return torch.bfloat16 if device.type == "cuda" else torch.float16
