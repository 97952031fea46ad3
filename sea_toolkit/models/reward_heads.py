"""Reward models whose head transformers has no class for: which tensors are the head, and a model that reads them.

A checkpoint is a language model's body and a few tensors more. Each family has its name for them; all of them are read
at the last token of the text:

| tensors | whose |
|---|---|
| `score.0.*`, `score.2.*` | Qwen2.5-Math-RM: two layers with a ReLU between them |
| `v_head.summary.*` | TRL, `AutoModelForCausalLMWithValueHead` |
| `v_head.*` | Starling, InternLM |
| `value_head.*` | OpenRLHF |
| `regression_head.*` | UltraRM, Eurus |
| `score_head.*` | safe-rlhf (Beaver) |
| `reward_head.*`, `rm_head.*` | others |
| `score.*` | bodies that have no sequence classifier in transformers |
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.float32_head import Float32Linear
from sea_toolkit.models.weights_files import Shapes, weights_files

_NAMES = (
    "score", "v_head.summary", "v_head", "value_head.summary", "value_head", "regression_head", "score_head",
    "reward_head", "rm_head",
)  # fmt: skip
"""Modules that are a head, the longer name first."""

_WITH_RELU = ("score",)
"""Heads of several layers whose activation is known."""


@dataclass(frozen=True)
class RewardHead:
    """The layers of a head: full names of their modules in the checkpoint, and whether an activation stands between."""

    layers: tuple[str, ...]
    shapes: tuple[tuple[int, int], ...]

    @property
    def outputs(self) -> int:
        """How many rewards it gives."""
        return self.shapes[-1][0]


def find_head(shapes: Shapes, width: int, name: str) -> RewardHead | None:
    """The head among the tensors of a checkpoint, or None.

    Args:
        shapes: of all its tensors.
        width: of the body's hidden states.
        name: the model's, for messages.

    Raises:
        ModelError: layers that do not follow from each other or from the body, or with an unknown activation.
    """
    for module in _NAMES:
        pattern = re.compile(rf"((?:.*\.)?{re.escape(module)}(?:\.(\d+))?)\.weight")
        matches = [match for key in shapes if (match := pattern.fullmatch(key))]
        if not matches:
            continue
        matches.sort(key=lambda match: int(match[2] or 0))
        layers = tuple(match[1] for match in matches)
        sizes = [shapes[f"{layer}.weight"] for layer in layers]
        inputs = [width, *(size[0] for size in sizes[:-1])]
        if any(len(size) != 2 or size[1] != given for size, given in zip(sizes, inputs, strict=True)):
            raise ModelError(
                f"the head {module} of {name} is {', '.join(map(str, map(list, sizes)))}; its body is {width} wide",
                expected=f"layers that follow from each other: [outputs, {width}]",
            )
        if len(layers) > 1 and module not in _WITH_RELU:
            raise ModelError(
                f"the head {module} of {name} has {len(layers)} layers, and what stands between them is not known",
                expected="one layer",
            )
        return RewardHead(layers, tuple((size[0], size[1]) for size in sizes))
    return None


def read_head(head: RewardHead, folder: Path) -> nn.Module:
    """The head with its weights, in float32.

    Args:
        head: what `find_head` found.
        folder: of the checkpoint.
    """
    tensors = _tensors(folder, [f"{layer}.{part}" for layer in head.layers for part in ("weight", "bias")])
    modules: list[nn.Module] = []
    for layer, (rows, columns) in zip(head.layers, head.shapes, strict=True):
        state = {part: tensors[f"{layer}.{part}"] for part in ("weight", "bias") if f"{layer}.{part}" in tensors}
        linear = Float32Linear(columns, rows, "bias" in state, device="meta")
        linear.load_state_dict({part: tensor.float() for part, tensor in state.items()}, assign=True)
        modules += [nn.ReLU(), linear] if modules else [linear]
    return nn.Sequential(*modules)


def _tensors(folder: Path, wanted: Sequence[str]) -> dict[str, Tensor]:
    """Those of the wanted tensors that are in a folder's weights."""
    tensors = {}
    for file in weights_files(folder):
        with safe_open(folder / file, "pt") as content:
            for key in set(content.keys()) & set(wanted):
                tensors[key] = content.get_tensor(key)
    return tensors


class HeadedModel(nn.Module):
    """A body with a head on the hidden state of the last token, in the form of transformers' sequence classifiers.

    Args:
        body: a decoder without a head.
        score: from hidden states to outputs.
        outputs: how many.
    """

    base_model_prefix = "model"

    def __init__(self, body: Any, score: nn.Module, outputs: int) -> None:
        super().__init__()
        self.model, self.score = body, score
        self.config = copy.deepcopy(body.config)
        self.config.num_labels = outputs
        self.name_or_path: str = body.name_or_path

    def get_input_embeddings(self) -> Any:
        """The body's."""
        return self.model.get_input_embeddings()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
    ) -> Any:
        """Outputs `[N, L]` as `logits`, read at the last position that the mask shows."""
        hidden = self.model(
            input_ids=input_ids, inputs_embeds=inputs_embeds, attention_mask=attention_mask
        ).last_hidden_state
        shown = torch.ones_like(hidden[..., 0]) if attention_mask is None else attention_mask
        last = (torch.arange(1, shown.shape[1] + 1, device=shown.device) * (shown > 0)).argmax(-1)
        rows = torch.arange(len(hidden), device=hidden.device)
        return SimpleNamespace(logits=self.score(hidden[rows, last]))
