"""Models of PEFT: an adapter's layers beside the weights of a model, which are not merged into them."""

from __future__ import annotations

import sys
from typing import Any

from torch import nn

from sea_toolkit.errors import ModelError

_SETTINGS = ("_active_adapter", "_disable_adapters", "merged_adapters", "scaling")
"""What a layer of PEFT does with its weights, beside the weights themselves."""


def without_wrapper(model: Any, name: str) -> Any:
    """The model of transformers inside of a `PeftModel`, with the adapter's layers in it; another model as it is.

    Args:
        model: any model.
        name: for messages.

    Raises:
        ModelError: the adapter is a prompt, which stands in the wrapper and not in the model.
    """
    peft = sys.modules.get("peft")  # nobody has such a model without having peft
    if peft is None or not isinstance(model, peft.PeftModel):
        return model
    config = model.active_peft_config
    if config.is_prompt_learning:
        raise ModelError(
            f"the adapter of {name} is a learned prompt ({config.peft_type.value}), which stands outside of the model",
            expected="an adapter of weights, such as LoRA",
        )
    return model.get_base_model()


def adapter_settings(model: nn.Module) -> dict[str, dict[str, str]]:
    """For each layer that PEFT has put in: which adapters count there, how much, and which are merged already."""
    layers = {name: vars(module) for name, module in model.named_modules() if "_active_adapter" in vars(module)}
    return {name: {key: str(held[key]) for key in _SETTINGS if key in held} for name, held in layers.items()}
