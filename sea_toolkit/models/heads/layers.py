"""The layers of a head with their weights: linear ones, what stands between them, and what is made of their outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import safe_open
from torch import Tensor, nn

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.float32_head import Float32Linear
from sea_toolkit.models.heads.found import FoundHead
from sea_toolkit.models.weights_files import weights_files

_EPSILON = 1e-8
"""safe-rlhf, `Normalizer.normalize`."""

_NORMALIZED = {"reward": "affine", "cost": "scale", "critic": "identity"}
"""safe-rlhf, `init_score_head`: what a model's `score_type` says of its normalizer."""


class Normalizer(nn.Module):
    """Outputs in units of their running statistics.

    Args:
        mean: `[L]`, zero where it is not subtracted.
        deviation: `[L]`.
    """

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.float())
        self.register_buffer("deviation", deviation.float())

    def forward(self, outputs: Float[Tensor, "*rows L"]) -> Float[Tensor, "*rows L"]:
        return (outputs - self.mean) / (self.deviation + _EPSILON)  # type: ignore[operator]


class Gating(nn.Module):
    """How much each objective counts, by the hidden state h at the prompt's end: softmax(g(h) / temperature) · scale.

    Args:
        layers: g.
        temperature: of the softmax.
        scale: of the weights.
    """

    def __init__(self, layers: nn.Module, temperature: float, scale: float) -> None:
        super().__init__()
        self.layers, self.temperature, self.scale = layers, temperature, scale

    def forward(self, hidden: Float[Tensor, "rows H"]) -> Float[Tensor, "rows K"]:
        weights: Tensor = (self.layers(hidden.float()) / self.temperature).softmax(-1) * self.scale
        return weights


class Head(nn.Module):
    """From hidden states to rewards, float32.

    Args:
        layers: from a hidden state to the outputs.
        normalizer: of the outputs.
        gating: for a head that is gated; then the first output is the score, and the objectives follow.
        transform: `[K, K]`, what is made of the objectives before they are weighed.
        quantiles: outputs for each objective, whose mean counts.
    """

    def __init__(
        self,
        layers: nn.Module,
        normalizer: nn.Module | None = None,
        gating: Gating | None = None,
        transform: Tensor | None = None,
        quantiles: int = 1,
    ) -> None:
        super().__init__()
        self.layers, self.normalizer, self.gating, self.quantiles = layers, normalizer, gating, quantiles
        self.register_buffer("transform", transform)

    def forward(
        self, hidden: Float[Tensor, "*rows H"], gates: Float[Tensor, "*rows K"] | None = None
    ) -> Float[Tensor, "*rows L"]:
        """Outputs.

        Args:
            hidden: at the token that is read.
            gates: what `gating` says of the prompt.
        """
        outputs: Tensor = self.layers(hidden)
        if self.normalizer is not None:
            outputs = self.normalizer(outputs)
        if gates is None:
            return outputs
        objectives = outputs.unflatten(-1, (-1, self.quantiles)).mean(-1) @ self.transform
        return torch.cat([(gates * objectives).sum(-1, keepdim=True), objectives], -1)


def read_head(head: FoundHead, folder: Path, config: Mapping[str, Any], name: str) -> Head:
    """A head with its weights.

    Args:
        head: what `find_head` found.
        folder: of the checkpoint.
        config: the contents of config.json.
        name: the model's, for messages.

    Raises:
        ModelError: a part of it is not in the checkpoint.
    """
    tensors = tensors_of(folder, (*head.layers, *head.gates, "gating", "reward_transform_matrix", head.form.normalize))
    layers = _stack(head.layers, tensors)
    normalizer = _normalizer(head, tensors, config, name)
    if not head.gates:
        return Head(layers, normalizer)
    scale = next((float(tensors[key]) for key in tensors if key.endswith("gating.logit_scale")), 1.0)
    gating = Gating(_stack(head.gates, tensors), float(config.get("gating_temperature", 10)), scale)
    transform = next((tensors[key].float() for key in tensors if key.endswith("reward_transform_matrix")), None)
    if transform is None:
        raise ModelError(
            f"{name} lacks weights: reward_transform_matrix", expected=f"a checkpoint as of {head.form.whose}"
        )
    return Head(layers, normalizer, gating, transform, head.quantiles)


def linear(name: str, tensors: Mapping[str, Tensor]) -> Float32Linear:
    """A linear layer with its weights, in float32."""
    state = _state(name, tensors)
    rows, columns = state["weight"].shape
    layer = Float32Linear(columns, rows, "bias" in state, device="meta")
    layer.load_state_dict({part: tensor.float() for part, tensor in state.items()}, assign=True)
    return layer


def _state(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of one module, under their names in it."""
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}


def _stack(names: Sequence[str], tensors: Mapping[str, Tensor]) -> nn.Module:
    """Layers in their order, with a ReLU behind each linear one but the last."""
    modules: list[nn.Module] = []
    for name in names:
        state = _state(name, tensors)
        if state["weight"].dim() == 1:
            modules.append(nn.BatchNorm1d(len(state["weight"])))
            modules[-1].load_state_dict(state)
            continue
        modules += [linear(name, tensors)] if name == names[-1] else [linear(name, tensors), nn.ReLU()]
    return nn.Sequential(*modules)


def _normalizer(
    head: FoundHead, tensors: Mapping[str, Tensor], config: Mapping[str, Any], name: str
) -> Normalizer | None:
    """The running statistics of the outputs, if the model is to use them.

    Raises:
        ModelError: they are nowhere, or their use is unknown.
    """
    if head.form.normalize is None or not config.get("do_normalize"):
        return None
    use = _NORMALIZED.get(str(config.get("score_type", "reward")))
    if use is None:
        raise ModelError(
            f"{name} has score_type = {config['score_type']!r}", expected=f"one of {', '.join(_NORMALIZED)}"
        )
    if use == "identity":
        return None
    module = head.form.normalize
    found = {key.rpartition(".")[2]: value for key, value in tensors.items() if f"{module}." in key}
    mean, var = (found.get(part, config.get(part)) for part in ("mean", "var"))
    if mean is None or var is None:
        raise ModelError(
            f"{name} is to be normalized, and lacks {module}.mean or {module}.var",
            expected="both in its weights, or mean and var in its config",
        )
    mean, var = torch.as_tensor(mean), torch.as_tensor(var)
    return Normalizer(mean if use == "affine" else torch.zeros_like(mean), var.float().sqrt())


def tensors_of(folder: Path, modules: Iterable[str | None]) -> dict[str, Tensor]:
    """The tensors of these modules, under their names; the one that a name is, too."""
    wanted, tensors = [module for module in modules if module], {}
    for file in weights_files(folder):
        with safe_open(folder / file, "pt") as content:
            for key in list(content.keys()):
                if any(f".{module}." in f".{key}." for module in wanted):
                    tensors[key] = content.get_tensor(key)
    return tensors
