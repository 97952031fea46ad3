"""From a checkpoint to the model that its own head makes of its body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sea_toolkit.models.heads import internlm2
from sea_toolkit.models.heads.found import find_head, transformers_head
from sea_toolkit.models.heads.headed import HeadedModel
from sea_toolkit.models.heads.layers import read_head
from sea_toolkit.models.heads.pairwise import PairwiseModel, is_pairwise, read_pairwise_head
from sea_toolkit.models.weights_files import Shapes

WRAPPED = {
    r"^pretrained_model\.": "",
    r"^transformer\.(layers|embed_tokens|norm)\.": r"\1.",
    r"^model\.model\.": "model.",
}
"""What some checkpoints put before the names of the body's tensors, for transformers' `key_mapping`: TRL and PairRM;
Starling, whose body is there twice, under its own name and inside a language model."""


@dataclass(frozen=True)
class OwnHead:
    """A checkpoint's own head.

    Attributes:
        on: the model that it makes of the body.
        body: the tensors of a body that transformers has under other names; None where it reads the files itself.
    """

    on: Callable[[Any], nn.Module]
    body: dict[str, Tensor] | None = None


def own_head(config: Any, written: Mapping[str, Any], shapes: Shapes, folder: Path, name: str) -> OwnHead | None:
    """The head of a checkpoint; None for a sequence classifier of transformers.

    Args:
        config: of the model.
        written: the contents of config.json.
        shapes: of the checkpoint's tensors.
        folder: of the checkpoint.
        name: the model's, for messages.

    Raises:
        ModelError: a head that does not fit its body, or lacks a part.
    """
    if is_pairwise(written):
        pair = read_pairwise_head(folder, name)
        return OwnHead(lambda body: PairwiseModel(body, pair))
    if transformers_head(config, shapes):
        return None
    found = find_head(shapes, written, config.get_text_config().hidden_size, name)
    if found is None:
        return None
    head = read_head(found, folder, written, name)
    tensors = internlm2.as_llama(folder, config) if written.get("model_type") == internlm2.MODEL_TYPE else None
    return OwnHead(lambda body: HeadedModel(body, head, found), tensors)
