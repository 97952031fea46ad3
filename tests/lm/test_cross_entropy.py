"""The expected cost and its slopes against autograd through the whole vocabulary."""

from __future__ import annotations

import pytest
import torch

from sea_toolkit.lm.cross_entropy import expected_cost
from tests.helpers import tiny_policy

ROWS, K = 11, 6


def inputs(dtype: torch.dtype, dense: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    g = torch.Generator().manual_seed(0)
    hidden = torch.randn(ROWS, 32, generator=g).to(dtype).requires_grad_()
    weights = torch.rand(ROWS, 128 if dense else K, generator=g).requires_grad_()  # rows need not sum to one
    # a token may stand twice among the candidates
    names = None if dense else torch.randint(0, 128, (ROWS, K), generator=g)
    return hidden, weights, names


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("arch", ["llama", "gemma2"])
def test_value_and_slopes_are_those_of_autograd(arch: str, dense: bool) -> None:
    hidden, weights, names = inputs(torch.float32, dense)
    logits_of = tiny_policy(arch).logits  # gemma2's head has a soft cap, which keeps its output for the way back
    log_probs = logits_of(hidden).log_softmax(-1)
    picked = log_probs if names is None else log_probs.gather(-1, names)
    expected = -(weights * picked).sum(-1)
    upstream = torch.linspace(-1, 2, ROWS)
    wanted = torch.autograd.grad(expected, (hidden, weights), upstream)
    found = expected_cost(hidden, weights, names, logits_of, chunk_rows=4)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)
    for ours, theirs in zip(torch.autograd.grad(found, (hidden, weights), upstream), wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_only_what_is_asked_for_gets_a_slope() -> None:
    hidden, weights, names = inputs(torch.float32, dense=False)
    logits_of = tiny_policy().logits
    (alone,) = torch.autograd.grad(expected_cost(hidden.detach(), weights, names, logits_of).sum(), weights)
    (both, _) = torch.autograd.grad(expected_cost(hidden, weights, names, logits_of).sum(), (weights, hidden))
    assert torch.equal(alone, both)
    assert not expected_cost(hidden.detach(), weights.detach(), names, logits_of).requires_grad


def test_nothing_of_the_vocabularys_size_is_kept() -> None:
    hidden, weights, names = inputs(torch.float32, dense=False)
    kept: list[torch.Size] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.shape)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        expected_cost(hidden, weights, names, lambda h: h @ torch.ones(32, 128), chunk_rows=4)
    head = torch.Size([32, 128])
    assert set(kept) == {head, torch.Size([ROWS, 32]), torch.Size([ROWS, K])}
