"""Sentence embeddings: the mean of a BERT's last hidden states, scaled to length one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

TOKENS = 256
"""What the model was trained to read; longer texts are cut."""


class Encoder:
    """A model and its tokenizer."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> Encoder:
        """From a folder with safetensors; nothing is looked up elsewhere, and nothing is unpickled."""
        model = AutoModel.from_pretrained(str(folder), local_files_only=True, use_safetensors=True, dtype=torch.float32)
        return cls(model.to(device), AutoTokenizer.from_pretrained(str(folder), local_files_only=True))

    @torch.no_grad()
    def __call__(self, texts: Sequence[str], batch: int = 64) -> Tensor:
        """Embeddings `[N, D]` of N texts, each of length one."""
        rows = []
        for start in range(0, len(texts), batch):
            read = self.tokenizer(
                list(texts[start : start + batch]),
                padding=True,
                truncation=True,
                max_length=TOKENS,
                return_tensors="pt",
            ).to(self.model.device)
            hidden, mask = self.model(**read).last_hidden_state, read["attention_mask"][..., None]
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
            rows.append(torch.nn.functional.normalize(mean, dim=-1))
        return torch.cat(rows)
