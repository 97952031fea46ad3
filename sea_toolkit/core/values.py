"""What a value is, in a few words: for the message about one that is not what it should be."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def described(value: Any) -> str:
    """Such as `a tensor [2, 3] (float32, cpu)`, `nothing`, `a str`."""
    if isinstance(value, Tensor):
        layout = "" if value.layout == torch.strided else f", {str(value.layout).removeprefix('torch.')}"
        return f"a tensor {list(value.shape)} ({str(value.dtype).removeprefix('torch.')}, {value.device}{layout})"
    return "nothing" if value is None else f"a {type(value).__name__}"
