"""Devices and dtypes by name."""

from __future__ import annotations

import pytest
import torch

from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.devices import pick_device, pick_dtype


def test_a_device_that_is_not_there():
    assert pick_device("cpu").type == "cpu"
    for name in ("cuda:77", "nonsense"):
        with pytest.raises(RecipeError, match=f"device '{name}' cannot be used"):
            pick_device(name)


def test_the_fastest_dtype(monkeypatch):
    assert pick_dtype("bfloat16", torch.device("cpu")) == torch.bfloat16
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False)
    assert pick_dtype("auto", torch.device("cpu")) == torch.float32
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert pick_dtype("auto", torch.device("cpu")) == torch.bfloat16
    assert pick_dtype("auto", torch.device("cuda")) == torch.bfloat16
