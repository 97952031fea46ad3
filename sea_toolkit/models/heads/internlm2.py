"""InternLM2's body in the form of Llama's, which computes the same.

internlm/internlm2-7b-reward, modeling_internlm2.py: the layers of a Llama under other names, but for one matrix `wqkv`
in which each key/value head stands behind the query heads that share it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from sea_toolkit.models.weights_files import weights_files

MODEL_TYPE, BODY = "internlm2", "llama"

_NAMES = {
    "tok_embeddings": "embed_tokens", "attention.wo": "self_attn.o_proj", "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj", "feed_forward.w3": "mlp.up_proj", "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}  # fmt: skip
_TENSOR = re.compile(r"(?:model\.)?((?:layers\.\d+\.)?)([a-z_0-9.]+)\.(weight|bias)")


def as_llama(folder: Path, config: Any) -> dict[str, Tensor]:
    """The tensors of the body, under Llama's names.

    Args:
        folder: of the checkpoint.
        config: of the body, Llama's.
    """
    tensors: dict[str, Tensor] = {}
    for file in weights_files(folder):
        with safe_open(folder / file, "pt") as content:
            for key in list(content.keys()):
                tensors |= _renamed(key, content.get_tensor(key), config)
    return tensors


def _renamed(key: str, tensor: Tensor, config: Any) -> Mapping[str, Tensor]:
    """What one tensor is in a Llama; nothing for a head."""
    match = _TENSOR.fullmatch(key)
    if match is None:
        return {}
    layer, name, part = match.groups()
    if name != "attention.wqkv":
        known = name in _NAMES or name == "norm"
        return {f"{layer}{_NAMES.get(name, name)}.{part}": tensor} if known else {}
    heads, shared = config.num_key_value_heads, config.num_attention_heads // config.num_key_value_heads
    width = tensor.shape[0] // (heads * (shared + 2))
    grouped = tensor.unflatten(0, (heads, shared + 2, width))
    query, key_head, value = grouped[:, :shared].flatten(0, 1), grouped[:, -2], grouped[:, -1]
    parts = {"q": query.flatten(0, 1), "k": key_head.flatten(0, 1), "v": value.flatten(0, 1)}
    return {f"{layer}self_attn.{one}_proj.{part}": piece.contiguous() for one, piece in parts.items()}
