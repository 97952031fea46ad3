"""Attention on a CPU: torch's kernel for half precision is slow there, and its float32 one is not; and heads that share
keys and values need no copies of them."""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from sea_toolkit.models.load_options import LoadOptions

NAME = "sdpa_on_cpu"
"""What a model's config names it by. "sdpa" in it makes transformers check that the model can be read so."""

HALF = (torch.bfloat16, torch.float16)

_ASKS_FOR_THE_NAME = re.compile(r"_attn_implementation\s*(==|!=|in\b|not in\b)")


def cpu_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, Tensor | None]:
    """Scaled-dot-product attention in float32, rounded back: on a CPU it is 2 to 18 times as fast as torch's kernel for
    bfloat16, forward and back, and more exact. Under a mask, heads that share keys and values read the same ones, which
    transformers repeats for each head. Elsewhere it is transformers' own.

    Args:
        module: the layer that calls it.
        query, key, value: `[rows, heads, n, width]`, `[rows, groups, S, width]` each.
        attention_mask: `[rows, 1 or heads, n, S]`, boolean or added to the scores.
        options: as transformers passes them on.
    """
    if query.device.type != "cpu":
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    dtype = query.dtype
    if dtype in HALF:
        query, key, value = query.float(), key.float(), value.float()
        if attention_mask is not None and attention_mask.is_floating_point():
            attention_mask = attention_mask.float()
    # without a mask, and for one token, transformers repeats nothing either
    usual = not any(options.get(name) is not None for name in ("softcap", "position_bias"))
    if usual and attention_mask is not None and query.shape[1] != key.shape[1] and query.shape[2] > 1:
        output = nn.functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=attention_mask,
            dropout_p=options.get("dropout", 0.0),
            scale=options.get("scaling"),
            enable_gqa=True,
        )
        return output.transpose(1, 2).contiguous().to(dtype), None
    output, weights = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    return output.to(dtype), weights


def use_cpu_attention(model: Any, options: LoadOptions) -> None:
    """Let a model compute its attention so, if it will be on a CPU and transformers can exchange it.

    Args:
        model: as it was read.
        options: where it will be, and whether an attention was asked for.
    """
    on_cpu = options.device is not None and options.device.type == "cpu" and options.device_map is None
    if not on_cpu or options.attention != "auto" or not isinstance(model, PreTrainedModel):
        return
    if model.config._attn_implementation != "sdpa" or not model._supports_attention_backend:
        return
    if _ASKS_FOR_THE_NAME.search(inspect.getsource(sys.modules[type(model).__module__])):
        return  # some families make another mask for each implementation that they know by name
    AttentionInterface.register(NAME, cpu_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
