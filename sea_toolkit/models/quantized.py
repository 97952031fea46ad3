"""Weights in 4 or 8 bits, which packages of their own multiply with: whether a gradient runs back through them.

Kernels for inference may have none, and then autograd gives another number without a word. So a gradient through
quantized weights is believed only after a trial.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.errors import ModelError

_TRIALS = 8
_STEPS = (0.02, 0.1)
"""Of the embeddings' own size, to each side. Values computed from activations in 8 bits are stairs, of which a short
step meets one or two; over a long one a small model's values bend. A true gradient is the slope over one of them."""

_LARGEST_GAP = 0.5
"""Between the slopes by autograd and by differences, as a share of these: rounding in 8 bits makes one of a few
hundredths, and a kernel without a gradient one of 1."""

_PACKING = "support_avx512bf16_for_cpu"
"""A layer of bitsandbytes that has this set packs its weights for a kernel without a gradient, when it first runs."""


def method_of(model: Any) -> str | None:
    """What a model's weights are quantized by, by its config; None for a model in floating point."""
    written = model.config.to_dict().get("quantization_config")
    return None if written is None else str.__str__(written.get("quant_method", "an unnamed method"))  # not its enum's


def keep_gradients(model: Any) -> None:
    """Keep the layers of bitsandbytes from packing weights for a kernel without a gradient, which they do on CPUs with
    AVX512-BF16."""
    for module in model.modules():
        if _PACKING in vars(module):
            setattr(module, _PACKING, False)


def with_true_gradient(model: Any, name: str) -> Any:
    """The model, if the slopes of its outputs by autograd are those by differences; asked where the weights are
    quantized.

    Args:
        model: a transformers model or a `HeadedModel`, at its place.
        name: for messages.

    Raises:
        ModelError: they differ, or there is no gradient.
    """
    method = method_of(model)
    if method is None or model.config.is_encoder_decoder:
        return model
    by_autograd, by_differences = _slopes(model)
    gap = float(((by_autograd - by_differences).norm(dim=-1) / by_differences.norm(dim=-1)).min())
    if not gap <= _LARGEST_GAP:
        raise ModelError(
            f"{name} is quantized by {method}, and its gradient is not the slope of its values (off by {gap:.0%})",
            expected="weights through which a gradient runs",
            hint="the unquantized model, or one that is quantized otherwise",
        )
    return model


def _slopes(model: Any) -> tuple[Float[Tensor, "trials"], Float[Tensor, "steps trials"]]:
    """Of one number of what the model says of a few tokens, in random directions of their embeddings."""
    embedding = model.get_input_embeddings()
    noise = torch.Generator().manual_seed(0)
    half = len(embedding.weight) // 2
    ids = torch.arange(half, half + 6, device=embedding.weight.device)[None]
    embeds = embedding(ids).detach()
    size = float(embeds.float().square().mean().sqrt())
    weights: Tensor | None = None

    def value(at: Tensor) -> Tensor:
        nonlocal weights
        output = model(inputs_embeds=at)  # the whole model: some packages unpack its weights when it is first called
        logits = vars(output).get("logits")
        values = (output[0] if logits is None else logits).float()
        if weights is None:
            weights = torch.randn(values.shape, generator=noise).to(values.device)
        return (values * weights).sum()

    with torch.enable_grad():
        start = embeds.clone().requires_grad_()
        end = value(start)
        gradient = torch.zeros_like(embeds)
        if end.requires_grad:
            (gradient,) = torch.autograd.grad(end, start)
    by_autograd, by_differences = [], []
    with torch.no_grad():
        for _ in range(_TRIALS):
            direction = torch.randn(embeds.shape, generator=noise).to(embeds)
            by_autograd.append((gradient.float() * direction.float()).sum())
            for step in _STEPS:
                there, back = (value(embeds + sign * step * size * direction) for sign in (1.0, -1.0))
                by_differences.append((there - back) / (2.0 * step * size))
    return torch.stack(by_autograd), torch.stack(by_differences).unflatten(0, (-1, len(_STEPS))).T
