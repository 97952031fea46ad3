"""How transformers is to read a model: its attention, weights that are quantized on the way, and the devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from sea_toolkit.errors import ModelError
from sea_toolkit.models.policy_spec import Attention, DeviceMap, Quantization
from sea_toolkit.models.quantized import method_of


@dataclass(frozen=True)
class LoadOptions:
    """What is asked for beside the model itself.

    Attributes:
        device: where quantized weights are put when they are read; None is transformers' choice.
        attention: how it is computed; transformers chooses for "auto".
        quantization: of the weights, while they are read.
        device_map: how the weights are spread over devices; None is on the CPU, to be moved by the caller.
        parts: over how many processes they are shared out, each with its own device.
    """

    device: torch.device | None = None
    attention: Attention = "auto"
    quantization: Quantization | None = None
    device_map: DeviceMap | None = None
    parts: int = 1

    def arguments(self, dtype: torch.dtype, quantized: bool) -> dict[str, Any]:
        """What `from_pretrained` is told.

        Args:
            dtype: of weights and activations.
            quantized: the model's weights lie quantized in its folder.

        Raises:
            ModelError: the package that quantizes is not installed.
        """
        found: dict[str, Any] = {}
        if self.quantization is not None:
            found["quantization_config"] = _config(self.quantization, dtype)
        if self.device_map is not None:
            found["device_map"] = self.device_map
        elif self.device is not None and (quantized or found):
            found["device_map"] = {"": self.device}  # such weights are not moved afterwards
        return found


def _config(kind: Quantization, dtype: torch.dtype) -> Any:
    from transformers import BitsAndBytesConfig, TorchAoConfig

    if kind == "bitsandbytes-4bit":
        return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    if kind == "bitsandbytes-8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    try:
        from torchao.quantization import Int8WeightOnlyConfig
    except ImportError as error:
        raise ModelError(
            f"quantization {kind!r} needs a package that is not installed: {error}",
            expected="the package that quantizes",
            hint="pip install torchao",
        ) from error
    return TorchAoConfig(Int8WeightOnlyConfig())


DEFAULT = LoadOptions()
"""On the CPU, as it was saved."""


def at(model: Any, device: torch.device) -> Any:
    """The model on the device; one that is quantized, was spread by a device map or shared out over processes stays
    where it was put."""
    own, spread = isinstance(model, PreTrainedModel), ("hf_device_map", "_device_mesh")
    if own and (any(name in vars(model) for name in spread) or method_of(model) is not None):
        return model
    return model.to(device)


def refuse_offloaded(model: Any, name: str) -> None:
    """Raises:
    ModelError: some weights do not fit on the devices, and wait on the CPU or the disk for each pass.
    """
    away = [key for key, weight in model.named_parameters() if weight.is_meta]
    if away:
        raise ModelError(
            f"{name} does not fit on its devices: {len(away)} of its tensors wait elsewhere, the first {away[0]}",
            expected="devices that hold all of its weights",
            hint='a smaller dtype, policy.quantization = "bitsandbytes-4bit", or another policy.device_map',
        )
