"""Tensor parallelism: each of several processes holds a part of every large weight, by the plan of transformers.

Token embedding and head stay whole in every process: answers are mixtures of the rows of the one, and samplers need all
logits of the other. Activations between the layers are the same in all of them.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.utils import logging

from sea_toolkit.core.ranks import device_type
from sea_toolkit.core.torch_state import same_random_stream
from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.models.policy_spec import PolicySpec
from sea_toolkit.util import ranks

KEY = "tensor_parallel_size"

_WHOLE = "replicate"
"""transformers' word for a module that every process has."""

_HEADS = ("q_proj", "k_proj", "v_proj", "qkv_proj", "query_key_value")
"""Projections whose outputs are attention heads."""


def refuse_size(size: int, whose: str) -> None:
    """Raises: RecipeError if the run is not done by so many processes."""
    if size == ranks.size():
        return
    here = "one process does the run" if ranks.size() == 1 else f"{ranks.size()} processes do the run"
    raise RecipeError(
        f"{KEY} of {whose} is {size}, and {here}",
        expected="as many processes as parts: an align or resume that torchrun has started",
        hint=f"torchrun --nproc-per-node {size} -m sea_toolkit align …",
    )


def refuse_weights(size: int, name: str, quantized: bool, adapted: bool) -> None:
    """Raises: RecipeError if the run is not done by so many processes, or the weights cannot be shared out."""
    refuse_size(size, name)
    if quantized or adapted:
        raise RecipeError(
            f"{name} has {KEY}, and {'its weights are quantized' if quantized else 'it is an adapter'}",
            expected="a whole model in floating point",
            hint=None if quantized else "merge it into its base first (PEFT's merge_and_unload), and save that",
        )


def refuse_beside(spec: PolicySpec) -> None:
    """Raises: RecipeError if the policy has another setting that says how its weights are read and where they are."""
    others = {"device_map": spec.device_map, "quantization": spec.quantization, "adapter": spec.adapter}
    for key in (key for key, value in others.items() if value is not None):
        hints = {
            "device_map": "device_map puts whole layers on devices of one process",
            "quantization": "weights in floating point, on more processes",
            "adapter": "merge it into its base first (PEFT's merge_and_unload), and save that",
        }
        raise RecipeError(f"the policy has {KEY} and {key}", expected="one of them", hint=hints[key])
    refuse_device(spec.device, "the policy")


def refuse_device(wanted: str | None, whose: str) -> None:
    """Raises: RecipeError if a device is named that is not each process's own."""
    if wanted in (None, "auto", device_type()):
        return
    raise RecipeError(
        f"{whose} has {KEY} and the device {wanted!r}",
        expected=f"no device, or {device_type()!r}: each process takes the one that torchrun has for it",
        hint='CUDA_VISIBLE_DEVICES="" hides GPUs' if wanted == "cpu" else None,
    )


def sharding(loader: Any, config: Any, size: int, name: str, trust_remote_code: bool) -> Any:
    """How `from_pretrained` is to share out a model: the plan that transformers has for it, with embedding and head
    whole.

    Args:
        loader: the class of transformers that makes the model.
        config: of the model.
        size: processes.
        name: for messages.
        trust_remote_code: whether Python that comes with the model may run.

    Returns:
        A `DistributedConfig` of transformers.

    Raises:
        ModelError: this transformers has no such thing, the model no plan, or its attention heads cannot be shared out.
    """
    quiet = logging.get_verbosity()
    logging.set_verbosity_error()  # it counts what the plan leaves whole
    try:
        with torch.device("meta"), same_random_stream():
            model = loader.from_config(config, trust_remote_code=trust_remote_code)
    finally:
        logging.set_verbosity(quiet)
    tables = [model.get_input_embeddings(), model.get_output_embeddings()]
    names = [key for key, module in model.named_modules() if any(module is table for table in tables)]
    plan = dict(model.tp_plan or {})
    if not plan.keys() - set(names):
        raise ModelError(
            f"{name} ({config.model_type}) has no plan for tensor parallelism in transformers",
            expected="a model with one, such as Llama, Mistral, Qwen, Gemma or Phi",
            hint='device_map = "auto" spreads any model over the devices of one process',
        )
    _refuse_heads(config, plan, size, name)
    try:
        from transformers.distributed import DistributedConfig

        return DistributedConfig(tp_size=size, tp_plan={key: _WHOLE for key in names if key in plan} or None)
    except (ImportError, TypeError) as error:
        raise ModelError(
            f"this version of transformers shares out no model by a plan: {error}",
            expected="transformers 5.24, with which this was tried, or newer",
        ) from error


def _refuse_heads(config: Any, plan: dict[str, str], size: int, name: str) -> None:
    if not any(key.rpartition(".")[2] in _HEADS and style == "colwise" for key, style in plan.items()):
        return  # its attention is whole in every process
    told = config.get_text_config().to_dict()
    for key in ("num_attention_heads", "num_key_value_heads"):
        heads = told.get(key)
        if isinstance(heads, int) and heads % size:
            raise ModelError(
                f"{size} processes cannot share the {heads} heads of {name} ({key})",
                expected=f"a number of processes that divides {heads}",
            )
