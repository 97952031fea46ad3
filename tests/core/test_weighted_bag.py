"""Weighted sums of a table's rows on devices whose kernels have no gradient of the weights."""

from __future__ import annotations

import pytest
import torch

from sea_toolkit.core import weighted_bag as module


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_way_of_other_devices_gives_what_torch_gives(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHERED", 100)  # the backward pass goes through several parts, the last one shorter
    g = torch.Generator().manual_seed(0)
    table = torch.randn(9, 6, generator=g, dtype=torch.float64).to(dtype)
    rows = torch.randint(0, 9, (7, 5), generator=g)
    start = torch.rand(7, 5, generator=g, dtype=torch.float64).to(dtype)
    upstream = torch.randn(7, 6, generator=g, dtype=torch.float64).to(dtype)
    found = []
    for bag in (module.weighted_bag, module._Bag.apply):
        weights = start.clone().requires_grad_()
        value = bag(rows, table, weights)
        (slope,) = torch.autograd.grad(value, weights, upstream)
        assert value.dtype is dtype
        assert slope.dtype is dtype
        found.append((value.detach(), slope))
    rounding = {"rtol": 0.016, "atol": 0.02} if dtype is torch.bfloat16 else {}  # torch 2.6 rounds each product
    for mine, torchs in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(mine, torchs, **rounding)
