"""Tiny models saved to folders: what the tests of loading share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.loading import load_policy
from sea_toolkit.models.policy_spec import PolicySpec
from sea_toolkit.testing.tiny import tiny_config, tiny_model, tiny_tokenizer
from tests.helpers import hub

ENCODER_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 128,
}
"""Of a small encoder, as transformers names them."""


def save_policy(folder: Path, arch: str = "llama", **options: Any) -> Path:
    """A causal LM with its tokenizer."""
    tiny_model(arch, **options).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def save_with_plugin(folder: Path, code: str) -> Path:
    """A policy in `model`, and beside it a one-file plugin, `mine.py`."""
    save_policy(folder / "model")
    (folder / "mine.py").write_text(code)
    return folder


def save_classifier(folder: Path, arch: str = "llama", labels: int = 1, seed: int = 0, **config: Any) -> Path:
    """A sequence classifier with its tokenizer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = tiny_config(arch, num_labels=labels, initializer_range=0.15, **config)
        AutoModelForSequenceClassification.from_config(made).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def edit_config(folder: Path, file: str = "config.json", **entries: Any) -> None:
    """Change entries of a JSON file; None takes one out."""
    data = json.loads((folder / file).read_text()) | entries
    (folder / file).write_text(json.dumps({k: v for k, v in data.items() if v is not None}))


def loaded(folder: Path | str) -> Any:
    """The policy of a folder, in float32 on the CPU."""
    return load_policy(PolicySpec(model=str(folder), device="cpu", dtype="float32"), ModelFinder(hub()))
