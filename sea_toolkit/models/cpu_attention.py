"""Attention on a CPU in half precision: torch's kernel for it is slow there, and its float32 one is not."""

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

NAME = "sdpa_in_float32"
"""What a model's config names it by. "sdpa" in it makes transformers check that the model can be read so."""

HALF = (torch.bfloat16, torch.float16)

_ASKS_FOR_THE_NAME = re.compile(r"_attn_implementation\s*(==|!=|in\b|not in\b)")


def float32_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, Tensor | None]:
    """Scaled-dot-product attention in float32, rounded back: on a CPU it is 2 to 18 times as fast as torch's kernel for
    bfloat16, forward and back, and more exact. Elsewhere, and for other types, it is transformers' own.

    Args:
        module: the layer that calls it.
        query, key, value: `[rows, heads, n, width]`, `[rows, groups, S, width]` each.
        attention_mask: `[rows, 1 or heads, n, S]`, boolean or added to the scores.
        options: as transformers passes them on.
    """
    if query.device.type != "cpu" or query.dtype not in HALF:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    if attention_mask is not None and attention_mask.is_floating_point():
        attention_mask = attention_mask.float()
    output, weights = sdpa_attention_forward(
        module, query.float(), key.float(), value.float(), attention_mask, **options
    )
    return output.to(query.dtype), weights


def use_float32_attention(model: Any, dtype: torch.dtype, options: LoadOptions) -> None:
    """Let a model compute its attention so, if that is where it gains and transformers can exchange it.

    Args:
        model: as it was read.
        dtype: of its activations.
        options: where it will be, and whether an attention was asked for.
    """
    on_cpu = options.device is not None and options.device.type == "cpu" and options.device_map is None
    if not on_cpu or options.attention != "auto" or dtype not in HALF or not isinstance(model, PreTrainedModel):
        return
    if model.config._attn_implementation != "sdpa" or not model._supports_attention_backend:
        return
    if _ASKS_FOR_THE_NAME.search(inspect.getsource(sys.modules[type(model).__module__])):
        return  # some families make another mask for each implementation that they know by name
    AttentionInterface.register(NAME, float32_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
