"""`check_relaxation`: logits become token weights, whatever the logits are."""

from __future__ import annotations

import copy
import functools
from typing import Any

import torch
from torch import Tensor

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.noise import Noise
from sea_toolkit.lm.embedding_space import EmbeddingSpace
from sea_toolkit.relaxations.base import Relaxation
from sea_toolkit.testing.conformance import Checks, global_seed, global_streams_untouched, off, reported, require
from sea_toolkit.testing.setting import Setting, under_test

PROPERTIES = {
    "builds": "it registers and takes these options",
    "shape": "weights have the shape of the logits, [P, C, T, K]",
    "dtype": "weights have the dtype and device of the logits",
    "repeatable": "the same logits and the same noise give the same weights",
    "global random state": "neither torch's nor numpy's global random stream is touched",
    "rows sum to one": "the weights of each position sum to one",
    "non-negative": "no weight is below zero, none is NaN",
    "gradient": "a gradient reaches the logits, and it is finite",
    "padding": "a candidate with logit -inf has weight 0 and gradient 0, and changes nothing else",
    "large logits": "finite weights and gradients for logits of ±30000",
    "sharp logits": "logits far apart, or a point at a token's embedding, give that token all the weight",
    "rows alone": "a position has the same weights by itself as among others (without noise)",
    "prompts alone": "a prompt has the same weights by itself as in a batch",
    "inputs": "the logits stay as they are",
    "bfloat16": "logits in bfloat16 give the weights of float32, within its precision",
    "gpu": "it works on a GPU, without noise with the values of the CPU",
}
"""What a relaxation promises, in the order of the documentation."""

P, C, T, K, V = 2, 3, 4, 5, 9


@reported
def check_relaxation(relaxation: Any, setting: Setting | None = None, /, **options: Any) -> tuple[str, ...]:
    """Check a relaxation on random logits of two prompts, three chains, four positions and five candidates.

    For a relaxation that takes `noise`, "rows alone" is left out: its rows are drawn together. A relaxation that takes
    `points` gets random ones with five coordinates among nine tokens, and "padding" is left out.

    Args:
        relaxation: what is registered, or the name of an installed relaxation.
        setting: `lacks`, `hub` and `seed` count here.
        **options: of the relaxation.

    Returns:
        The names of the properties that hold.

    Raises:
        ConformanceError: one does not; it is named.
    """
    setting = setting or Setting()
    with under_test("relaxation", relaxation, PROPERTIES, setting) as (checks, _, item):
        with checks("builds"):
            built = item.build(options)
            require(isinstance(built, functools.partial), "a class is registered", expected="a function of logits")
            table = torch.randn(V, K, generator=torch.Generator().manual_seed(setting.seed + 1))
            relax = Relaxation(built, Clock(), EmbeddingSpace(table))
        _check(checks, relax, setting.seed)
    return checks.result


def _check(checks: Checks, relax: Relaxation, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    logits = 3.0 * torch.randn(P, C, T, K, generator=g)
    expected = logits.shape if relax.space is None else (P, C, T, V)
    upstream = torch.randn(expected, generator=g)
    with checks("shape"):
        weights = relax(logits.clone(), _noise())
        require(isinstance(weights, Tensor), f"it returned a {type(weights).__name__}")
        require(
            weights.shape == expected,
            "its result has another shape",
            detail=f"{list(weights.shape)}",
            expected=f"[P, C, T, {'K' if relax.space is None else 'V'}] = {list(expected)}",
        )
    with checks("dtype"):
        same = (weights.dtype, weights.device) == (logits.dtype, logits.device)
        require(same, "weights have another dtype or device", detail=f"{weights.dtype}, {weights.device}")
    with checks("repeatable"):
        for other in (1, 2):
            with global_seed(other):
                gap = off(relax(logits.clone(), _noise()), weights, 1e-6)
            require(
                not gap,
                "the same noise gives other weights the second time",
                detail=gap,
                hint="use the parameter `noise`, and keep nothing between calls",
            )
    with checks("global random state"), global_streams_untouched():
        relax(logits.clone(), _noise())
    with checks("rows sum to one"):
        gap = off(weights.sum(-1), torch.ones(P, C, T), 1e-5)
        require(not gap, "the weights of a position do not sum to one", detail=gap)
    with checks("non-negative"):
        require(not bool(weights.isnan().any()), "a weight is NaN")
        require(bool((weights >= 0).all()), "a weight is below zero", detail=f"{float(weights.min()):.3g}")
    with checks("gradient"):
        gradient = _slope(relax, logits, upstream)
        require(
            bool((gradient != 0).any()), "the gradient is zero everywhere", hint="hard weights need a soft backward"
        )
        require(bool(gradient.isfinite().all()), "a gradient is not finite")
    if relax.space is None:
        with checks("padding"):
            _padding(relax, logits, upstream)
    with checks("large logits"):
        large = 3e4 * logits.sign()
        require(
            bool(relax(large, _noise()).isfinite().all()),
            "large logits give weights that are not finite",
            hint="take off the maximum before dividing or exponentiating",
        )
        require(
            bool(_slope(relax, large, upstream).isfinite().all()), "large logits give a gradient that is not finite"
        )
    with checks("sharp logits"):
        order = torch.stack([torch.randperm(expected[-1], generator=g) for _ in range(P * C * T)]).view(expected)
        top = order.argmax(-1)
        latent = 1e4 * order.float() if relax.space is None else relax.space.table[top] / relax.space.unit
        gap = off(relax(latent, _noise()), torch.nn.functional.one_hot(top, expected[-1]).float(), 1e-3)
        require(not gap, "logits far apart do not give the largest one all the weight", detail=gap)
    _check_company(checks, relax, logits, weights)
    with checks("inputs"):
        shifted = logits + 7.0
        relax(shifted, _noise())
        require(torch.equal(shifted, logits + 7.0), "it changes the logits", hint="work on a copy")
    with checks("bfloat16"):
        half = logits.bfloat16()
        half_weights = relax(half, _noise())
        require(
            half_weights.dtype is torch.bfloat16,
            "weights of bfloat16 logits have another dtype",
            detail=str(half_weights.dtype),
        )
        gap = off(half_weights, relax(half.float(), _noise()), 2**-8)
        require(not gap, "bfloat16 logits give other weights than the same logits in float32", detail=gap)
        require(bool(_slope(relax, half, upstream.bfloat16()).isfinite().all()), "a gradient is not finite")
    if torch.cuda.is_available():
        with checks("gpu"):
            moved = copy.copy(relax)
            moved.space = None if relax.space is None else EmbeddingSpace(relax.space.table.cuda())
            on_gpu = moved(logits.cuda(), Noise(_SEEDS, "cuda"))
            require(on_gpu.device.type == "cuda", "weights have left the GPU")
            gap = off(on_gpu, weights)
            require(not gap, "GPU and CPU give different weights", detail=gap)


def _check_company(checks: Checks, relax: Relaxation, logits: Tensor, weights: Tensor) -> None:
    if not relax.noisy:
        with checks("rows alone"):
            alone = torch.empty_like(weights)
            for c in range(C):
                for t in range(T):
                    alone[:, c, t] = relax(logits[:, c : c + 1, t : t + 1].clone(), _noise())[:, 0, 0]
            gap = off(alone, weights, 1e-5)
            require(not gap, "a position's weights depend on other positions or chains", detail=gap)
    with checks("prompts alone"):
        alone = torch.cat([relax(logits[p : p + 1].clone(), Noise([_SEEDS[p]])) for p in range(P)])
        gap = off(alone, weights, 1e-5)
        require(not gap, "a prompt's weights depend on the other prompts", detail=gap)


def _padding(relax: Relaxation, logits: Tensor, upstream: Tensor) -> None:
    padded = logits.clone()
    padded[..., -2:] = -torch.inf
    weights = relax(padded, _noise())
    require(bool((weights[..., -2:] == 0).all()), "a candidate with logit -inf has some weight")
    gap = off(weights.sum(-1), torch.ones(P, C, T), 1e-5)
    require(not gap, "with a logit of -inf the weights do not sum to one", detail=gap)
    slope = _slope(relax, padded, upstream)
    require(bool(slope.isfinite().all()), "with a logit of -inf a gradient is not finite")
    require(bool((slope[..., -2:] == 0).all()), "a candidate with logit -inf has a gradient")
    if not relax.noisy:
        gap = off(weights[..., :-2], relax(logits[..., :-2].clone(), _noise()), 1e-5)
        require(not gap, "a candidate with logit -inf changes the weights of the others", detail=gap)


def _slope(relax: Relaxation, logits: Tensor, upstream: Tensor) -> Tensor:
    z = logits.clone().requires_grad_()
    weights = relax(z, _noise())
    require(weights.requires_grad, "no gradient reaches the logits", hint="hard weights need a soft backward")
    (slope,) = torch.autograd.grad((weights * upstream).sum(), z)
    return slope


_SEEDS = (11, 12)


def _noise() -> Noise:
    return Noise(_SEEDS)
