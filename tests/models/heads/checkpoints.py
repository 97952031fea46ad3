"""Tiny checkpoints of reward models: a language model's body and a family's head beside it."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModel

from tests.models.folders import edit_config, save_policy

Tensors = dict[str, Tensor]


def save_headed(folder: Path, tensors: Tensors, arch: str = "llama", body: str = "causal", **config: object) -> Path:
    """A language model with a head beside it, as families save one.

    Args:
        folder: where.
        tensors: of the head.
        arch: of the body.
        body: "causal" with its language head, "bare" without one and without the prefix of its names.
        config: entries of config.json.
    """
    save_policy(folder, arch)
    path = folder / "model.safetensors"
    weights = load_file(path)
    if body == "bare":
        weights = {key.removeprefix("model."): value for key, value in weights.items() if key != "lm_head.weight"}
    save_file(weights | tensors, path, {"format": "pt"})
    edit_config(folder, **({"architectures": ["SomebodysRewardModel"]} | config))
    return folder


def layer(name: str, rows: int = 1, columns: int = 32, bias: bool = True, seed: int = 0) -> Tensors:
    """A linear layer of a head."""
    g = torch.Generator().manual_seed(seed)
    tensors = {f"{name}.weight": torch.randn(rows, columns, generator=g)}
    return tensors | ({f"{name}.bias": torch.randn(rows, generator=g)} if bias else {})


def states_of(folder: Path, ids: Tensor) -> Tensor:
    """The last hidden states of the body, `[N, T, H]`."""
    body = AutoModel.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        states: Tensor = body(ids).last_hidden_state
    return states


def hidden_of(folder: Path, ids: Tensor) -> Tensor:
    """The last hidden state of the body, as most families take it: at the last token that is shown."""
    return states_of(folder, ids)[:, -1]
