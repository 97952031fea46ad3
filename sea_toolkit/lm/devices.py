"""Where a model runs and in which precision: from the words of a recipe to torch's own."""

from __future__ import annotations

import torch

from sea_toolkit.errors import RecipeError


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
