"""Values that a plugin has returned: what they are, for messages, and as numbers."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def described(value: Any) -> str:
    """Such as `a tensor [2, 3] (float32, cpu)`, `nothing`, `a str`."""
    if isinstance(value, Tensor):
        return f"a tensor {list(value.shape)} ({str(value.dtype).removeprefix('torch.')}, {value.device})"
    return "nothing" if value is None else f"a {type(value).__name__}"


def numbers(returned: Any) -> Float[Tensor, " *any"] | None:
    """What a function of texts returned, as float32 on the CPU; None if it is not numbers."""
    if returned is None or isinstance(returned, str | bytes):
        return None
    try:
        value = torch.as_tensor(returned)
        return None if value.is_meta or value.is_complex() else value.detach().to("cpu", torch.float32)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None
