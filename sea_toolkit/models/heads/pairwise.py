"""Reward models that compare two answers instead of scoring one: PairRM.

llm-blender/PairRM-hf, class DebertaV2PairRM (LLM-Blender, arXiv 2306.02561; allenai/reward-bench, models/pairrm.py): an
encoder reads prompt and both answers, each behind a mark of its own, and a head scores each answer by the states of the
prompt's mark and its own. The logit is the difference of the two scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from sea_toolkit.errors import ModelError
from sea_toolkit.models.heads.layers import linear, tensors_of

ARCHITECTURE = "DebertaV2PairRM"
BODY = "pretrained_model"
_FIRST, _LAST = "head_layer.1", "head_layer.4"
_MARKS = {"source_prefix_id": "<|source|>", "cand1_prefix_id": "<|candidate1|>", "cand2_prefix_id": "<|candidate2|>"}
"""Entries of its config, and how its tokenizer spells the marks."""


class PairwiseModel(nn.Module):
    """An encoder that says how much better the first of two answers is.

    Args:
        body: the encoder.
        head: from the states of two marks, side by side, to scores.

    Raises:
        ModelError: its config does not name the marks.

    Attributes:
        marks: how the tokenizer spells the marks of the prompt, the first and the second answer.
    """

    marks = tuple(_MARKS.values())

    def __init__(self, body: Any, head: nn.Module) -> None:
        super().__init__()
        self.model, self.head, self.config = body, head, body.config
        self.config.num_labels = 1
        self.name_or_path: str = body.name_or_path
        config = self.config.to_dict()
        missing = [key for key in _MARKS if not isinstance(config.get(key), int)]
        if missing:
            raise ModelError(
                f"the config of {self.name_or_path} lacks {', '.join(missing)}",
                expected=f"the marks of {ARCHITECTURE}, as llm-blender/PairRM-hf has them",
            )
        self._ids = [int(config[key]) for key in _MARKS]

    def get_input_embeddings(self) -> Any:
        """The body's."""
        return self.model.get_input_embeddings()

    def forward(self, input_ids: Int[Tensor, "N T"], attention_mask: Tensor | None = None) -> Any:
        """How much better the first answer is, `[N, 1]` as `logits`."""
        states = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        rows = torch.arange(len(states), device=states.device)
        # the first of each mark: an answer may spell one too
        prompt, first, second = (states[rows, (input_ids == mark).int().argmax(-1)] for mark in self._ids)
        scores = [self.head(torch.cat([prompt, answer], -1)) for answer in (first, second)]
        return SimpleNamespace(logits=(scores[0] - scores[1]).mean(-1, keepdim=True))


def is_pairwise(config: Mapping[str, Any]) -> bool:
    """Whether a config is that of a model which compares answers."""
    return ARCHITECTURE in (config.get("architectures") or ())


def read_pairwise_head(folder: Path, name: str) -> nn.Module:
    """The head of such a model, in float32.

    Raises:
        ModelError: it is not in the checkpoint.
    """
    tensors = tensors_of(folder, (_FIRST, _LAST))
    missing = [layer for layer in (_FIRST, _LAST) if f"{layer}.weight" not in tensors]
    if missing:
        raise ModelError(f"{name} lacks weights: {', '.join(missing)}", expected=f"a complete {ARCHITECTURE}")
    return nn.Sequential(linear(_FIRST, tensors), nn.Tanh(), linear(_LAST, tensors))
