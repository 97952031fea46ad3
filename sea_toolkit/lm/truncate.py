"""The first blocks of a causal language model as a module of their own, sharing every parameter with it."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn

from sea_toolkit.errors import ModelError

_FINAL_NORMS = ("norm", "ln_f", "final_layer_norm", "final_layernorm", "norm_f")


def base_model(model: Any) -> Any:
    """The part of a transformers causal LM under its head (the model itself if it has none)."""
    return getattr(model, getattr(model, "base_model_prefix", "") or "", model)


def count_layers(model: Any) -> int:
    """How many blocks a transformers model has."""
    return int(base_model(model).config.get_text_config().num_hidden_layers)


def truncate(model: Any, layers: int) -> nn.Module:
    """A view of the base model that runs its first `layers` blocks: nothing is copied, the model is
    untouched.

    Call it as the base model (`input_ids` or `inputs_embeds`, `attention_mask`, `position_ids`); its
    `last_hidden_state` equals the full model's `hidden_states[layers]`. So there is no final norm, except
    with all blocks, where transformers norms the last entry.

    Args:
        model: a transformers causal LM or base model.
        layers: 1 to the number of its blocks.

    Raises:
        ModelError: there are not that many blocks, or the architecture is not understood.
    """
    base = base_model(model)
    total = count_layers(base)
    if not 1 <= layers <= total:
        raise ModelError(f"layer {layers} was asked of a model with {total} layers", expected=f"1 to {total}")
    blocks = [n for n, m in base.named_children() if isinstance(m, nn.ModuleList) and len(m) == total]
    norms = [n for n in _FINAL_NORMS if n in base._modules]
    if len(blocks) != 1 or len(norms) != 1:
        raise ModelError(
            f"{type(base).__name__} is not understood: lists of {total} blocks {blocks}, final norms {norms}",
            expected="one list of blocks followed by one norm, as in Llama or GPT-2",
            hint="use a sequence-classification reward model instead of a probe",
        )
    if layers == total:
        return base
    view = copy.copy(base)
    # nn.Module keeps its children in this dict, which a shallow copy would share with the original
    view._modules = dict(base._modules)
    view._modules[blocks[0]] = nn.ModuleList(list(base._modules[blocks[0]])[:layers])
    view._modules[norms[0]] = nn.Identity()
    view.config = copy.deepcopy(base.config)
    text = view.config.get_text_config()
    if getattr(text, "layer_types", None):
        text.layer_types = list(text.layer_types)[:layers]
    text.num_hidden_layers = layers
    return view
