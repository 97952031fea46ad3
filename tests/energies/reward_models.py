"""Tiny reward models with the tiny policy's vocabulary."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import LlamaForSequenceClassification

from sea_toolkit.testing.tiny import tiny_config, tiny_tokenizer


def saved_rewards(root: Path) -> list[str]:
    """Folders of three tiny classifiers of one kind; the third has two outputs."""
    for i in range(3):
        config = tiny_config("llama", initializer_range=0.15)
        config.num_labels = 2 if i == 2 else 1
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(i)
            LlamaForSequenceClassification(config).save_pretrained(root / str(i))
        tiny_tokenizer().save_pretrained(root / str(i))
    return [str(root / str(i)) for i in range(3)]
