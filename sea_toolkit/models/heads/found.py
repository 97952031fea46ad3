"""Which family's head a checkpoint has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sea_toolkit.errors import ModelError
from sea_toolkit.models.heads.families import FORMS, HeadForm
from sea_toolkit.models.weights_files import Shapes


@dataclass(frozen=True)
class FoundHead:
    """The head of a checkpoint.

    Attributes:
        form: how it is read.
        layers: full names of its layers in the checkpoint.
        gates: those of the network that weighs its outputs.
        objectives: outputs of the head itself, before they are combined.
        quantiles: rows of the head for each of them.
    """

    form: HeadForm
    layers: tuple[str, ...]
    gates: tuple[str, ...] = ()
    objectives: int = 1
    quantiles: int = 1

    @property
    def labels(self) -> list[str]:
        """Names of the outputs; the score comes first where the outputs are combined into one."""
        if self.gates:
            return ["score", *(f"objective_{i}" for i in range(self.objectives))]
        return [f"LABEL_{i}" for i in range(self.objectives)]


def find_head(shapes: Shapes, config: Mapping[str, Any], width: int, name: str) -> FoundHead | None:
    """The head among the tensors of a checkpoint, or None.

    Args:
        shapes: of all its tensors.
        config: the contents of config.json.
        width: of the body's hidden states.
        name: the model's, for messages.

    Raises:
        ModelError: layers that do not follow from each other or from the body; what stands between them is not known;
            or a part of the form that is not in the checkpoint.
    """
    named = set(config.get("architectures") or ())
    for form in FORMS:
        layers = _layers(form.tensors, shapes)
        if not layers or (form.architectures and not named & set(form.architectures)):
            continue
        rows = _checked(form.tensors, layers, shapes, width, name)
        if len(layers) > 1 and form.activation == "none":
            raise ModelError(
                f"the head {form.tensors} of {name} has {len(layers)} layers, and what stands between them is not "
                "known",
                expected="one layer",
            )
        if form.combine == "gating":
            return _gated(form, layers, rows, shapes, config, width, name)
        if str(config.get("pooling", "last")) != "last":
            raise ModelError(
                f"the head {form.tensors} of {name} reads the {config['pooling']} of all hidden states",
                expected='a head that reads one token: pooling = "last" in its config',
            )
        return FoundHead(form, layers, objectives=rows)
    return None


def transformers_head(config: Any, shapes: Shapes) -> bool:
    """Whether a checkpoint is for a sequence classifier of transformers' own: for an encoder, which keeps its head in
    its own way, or for a decoder with all that its class has beside the body.

    Args:
        config: of the model.
        shapes: of its tensors.
    """
    import torch
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING as CLASSES

    if type(config) not in CLASSES:
        return False
    kind: Any = CLASSES[type(config)]
    with torch.device("meta"):
        model = kind(config)
    head = {name for name, _ in model.named_parameters() if not name.startswith(f"{model.base_model_prefix}.")}
    return "score.weight" not in head or head <= set(shapes)


def _layers(module: str, shapes: Shapes) -> tuple[str, ...]:
    """The layers of a module that is no part of the body's numbered ones, in their order."""
    pattern = re.compile(rf"((?:[a-z_]+\.)*{re.escape(module)}(?:\.(\d+))?)\.weight")
    matches = [match for key in shapes if (match := pattern.fullmatch(key))]
    return tuple(match[1] for match in sorted(matches, key=lambda match: int(match[2] or 0)))


def _checked(module: str, layers: tuple[str, ...], shapes: Shapes, width: int, name: str) -> int:
    """How many outputs a chain of layers has.

    Raises:
        ModelError: they do not follow from each other, or from what they read.
    """
    sizes = [shapes[f"{layer}.weight"] for layer in layers]
    matrices = [size for size in sizes if len(size) != 1]  # a normalization between two layers keeps the width
    inputs = [width, *(size[0] for size in matrices)]
    if any(len(size) != 2 or size[1] != given for size, given in zip(matrices, inputs, strict=False)):
        raise ModelError(
            f"the head {module} of {name} is {', '.join(map(str, map(list, sizes)))}; its body is {width} wide",
            expected=f"layers that follow from each other: [outputs, {width}]",
        )
    return inputs[-1]


def _gated(
    form: HeadForm, layers: tuple[str, ...], rows: int, shapes: Shapes, config: Mapping[str, Any], width: int, name: str
) -> FoundHead:
    """A head whose outputs are weighed by a network at the end of the prompt.

    Raises:
        ModelError: that network is missing, does not fit, or its place in the prompt is not known.
    """
    gates, quantiles = _layers("gating.layers", shapes), int(config.get("num_quantiles", 1))
    if not gates:
        raise ModelError(
            f"{name} lacks weights: gating.layers, which weigh the {rows} outputs of {form.tensors}",
            expected=f"a checkpoint as of {form.whose}",
        )
    objectives = _checked("gating.layers", gates, shapes, width, name)
    if objectives * quantiles != rows:
        raise ModelError(
            f"the head {form.tensors} of {name} has {rows} outputs, and its gates weigh {objectives} of {quantiles} "
            "quantiles",
            expected="as many outputs as gates times num_quantiles of its config",
        )
    if config.get("model_type") not in form.gate_at:
        raise ModelError(
            f"the gates of {name} read the end of the prompt, whose tokens in {config.get('model_type')} are not known",
            expected=f"one of {', '.join(form.gate_at)}",
        )
    return FoundHead(form, layers, gates, objectives, quantiles)
