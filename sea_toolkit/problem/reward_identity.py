"""Which energy a compass belongs to, told by what the energy is made of and not by where its files lie."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from sea_toolkit.core.meter import Meter

PLACING = frozenset({"device", "dtype", "batch"})
"""Options that say where and how fast a model runs."""

_LOOKED_AT = 256
"""Numbers of each weight that are looked at: two models that differ at all hardly agree in all of these."""


def reward_identity(
    name: str, options: Mapping[str, Any], fingerprint: str | None, meter: Meter, policy: nn.Module
) -> str:
    """SHA-256 of what an energy is: its plugin, its options, and the weights of its own models.

    Where weights tell which model it is, the name of the model does not count, nor does its precision (bfloat16 and
    float32 of one file are the same): the file may be on another machine.

    Args:
        name: the plugin, as `distribution:name`; of a term given in Python, its code.
        options: as the recipe has them.
        fingerprint: of the energy; it counts where it has no models of its own.
        meter: has the models that it announced.
        policy: whose weights do not count.
    """
    weights = {id(p) for p in policy.parameters()}
    own = [m.module for m in meter.models if not any(id(p) in weights for p in m.module.parameters())]
    left_out = PLACING | ({"model"} if own or fingerprint is not None else set())
    parts = {
        "energy": name,
        "options": {key: value for key, value in sorted(options.items()) if key not in left_out},
        "own": None if own else fingerprint,
        "models": [_sketch(module) for module in own],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=repr).encode()).hexdigest()


def _sketch(module: nn.Module) -> str:
    """SHA-256 of the names and shapes of a model's weights and of some numbers in each, in bfloat16."""
    digest = hashlib.sha256()
    for name, weight in sorted(module.state_dict().items()):
        digest.update(f"{name}{tuple(weight.shape)}".encode())
        some = weight.detach().flatten()[:: max(1, weight.numel() // _LOOKED_AT)][:_LOOKED_AT]
        digest.update(some.to("cpu", torch.bfloat16).contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
