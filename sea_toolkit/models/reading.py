"""Tokenizers, configs and models from their folders, whole and without code of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch

from sea_toolkit.core.torch_state import same_random_stream
from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.models import folder as folders
from sea_toolkit.models.adapters import Adapter, adapter_in, merge, put_beside
from sea_toolkit.models.config_check import refuse_impossible_sizes, refuse_unread_layers
from sea_toolkit.models.cpu_attention import use_cpu_attention
from sea_toolkit.models.from_pretrained import from_pretrained
from sea_toolkit.models.heads import WRAPPED, OwnHead, own_head
from sea_toolkit.models.heads.families import BODIES
from sea_toolkit.models.load_options import DEFAULT, LoadOptions, refuse_offloaded
from sea_toolkit.models.quantized import keep_gradients, method_of
from sea_toolkit.models.remote_code import refuse_kernels
from sea_toolkit.models.tensor_parallel import refuse_weights, sharding
from sea_toolkit.models.weights_files import Shapes

Role = Literal["causal", "classifier", "tokens", "base"]
CLASSES: dict[Role, str] = {
    "causal": "AutoModelForCausalLM",
    "classifier": "AutoModelForSequenceClassification",
    "tokens": "AutoModelForTokenClassification",
    "base": "AutoModel",
}
"""Role to the class of transformers that makes a model for it."""

_HINTS = {
    "causal": "a language model with its head",
    "classifier": "a model that was trained with its head; a bare language model has none, and the energies judge and "
    "implicit-reward ask it as it is",
    "tokens": "a model that was trained to classify tokens",
    "base": "save the whole model with save_pretrained",
}


def read_tokenizer(
    source: Path | str, name: str, *, trust_remote_code: bool = False, base: Path | str | None = None
) -> Any:
    """The tokenizer of a model; of an adapter without one, that of its base.

    Args:
        source: a folder, or a Hugging Face id.
        name: for messages.
        trust_remote_code: whether Python that comes with the tokenizer may run.
        base: of an adapter, in the place of the one that it names.

    Raises:
        ModelError: it cannot be had or read, or its files are missing.
    """
    folder = folders.facts_of(source, name, trust_remote_code=trust_remote_code)
    adapter = adapter_in(folder, name, base)
    if adapter is not None and not any(folder.glob("tokenizer*")):
        base_of(adapter, trust_remote_code)
        return read_tokenizer(adapter.base, str(adapter.base), trust_remote_code=trust_remote_code)
    if adapter is None:
        folders.read_config_file(folder, name)
    folders.refuse_without_tokenizer(folder, name)
    from transformers import AutoTokenizer

    tokenizer = from_pretrained(AutoTokenizer, folder, name, trust_remote_code=trust_remote_code)
    if len(tokenizer.get_vocab()) <= len(tokenizer.get_added_vocab()):
        raise folders.no_tokenizer(folder, name)
    return tokenizer


def read_model(
    role: Role,
    source: Path | str,
    name: str,
    dtype: torch.dtype,
    *,
    trust_remote_code: bool = False,
    unread: str | None = None,
    base: Path | str | None = None,
    options: LoadOptions = DEFAULT,
) -> Any:
    """A transformers model in eval mode and frozen, on the CPU unless its options say otherwise.

    An adapter is merged into its base; into a quantized one it cannot be, and stands beside its weights.

    Weights come from safetensors only (a pickle can run code), and all of them do: transformers fills gaps at random.

    Args:
        role: a causal LM, a classifier of sequences or of tokens, or the base alone.
        source: a folder, or a Hugging Face id.
        name: for messages.
        dtype: of weights and activations.
        trust_remote_code: whether Python that comes with the model may run.
        unread: weights whose names begin so may be missing.
        base: of an adapter, in the place of the one that it names.
        options: how it is read.

    Raises:
        ModelError: it cannot be had or read, is of another kind, or is not complete.
    """
    folder = folders.facts_of(source, name, trust_remote_code=trust_remote_code)
    adapter, restored = adapter_in(folder, name, base), Shapes()
    whole: Path | str = source
    if adapter is not None:
        folders.adapter_weights(source)
        restored, whole = adapter.replaced(), adapter.base
        folder = base_of(adapter, trust_remote_code)
    config = config_of(role, folder, name if adapter is None else str(whole), trust_remote_code)
    if options.attention != "auto":
        config._attn_implementation = options.attention
    shapes = folders.weights_of(whole, folder, name if adapter is None else str(whole))
    written = folders.read_config_file(folder, name)
    refuse_impossible_sizes(written, shapes, name)
    quantized = bool(written.get("quantization_config"))
    if quantized and options.quantization is not None:
        raise RecipeError(
            f"policy.quantization is {options.quantization!r}, and the weights of {name} are quantized already",
            expected="weights in floating point",
        )
    how = options.arguments(dtype, quantized)
    if options.parts > 1:
        refuse_weights(options.parts, name, quantized, adapter is not None)
    if adapter is not None and quantized and role != "causal":
        raise ModelError(
            f"the base of the adapter {adapter.name} is quantized, which would round away what is added to its weights",
            expected="the unquantized base",
            hint=f"write it to base_model_name_or_path in {adapter.folder / folders.ADAPTER_CONFIG}",
        )
    if role == "classifier" and folders.head_rows(restored) is None:
        head = own_head(config, written, shapes, folder, name)
        if head is not None:
            how |= _shared_out("base", config, options, name, trust_remote_code)
            body = _weights("base", folder, name, config, dtype, trust_remote_code, restored, unread, how, head)
            keep_gradients(body)
            use_cpu_attention(body, options)
            body.name_or_path = str(source)
            headed = head.on(body)
            headed = headed if adapter is None else merge(headed, adapter, of_transformers=False)
            return headed.eval().requires_grad_(False)
    if role == "classifier":
        rows = folders.head_rows(restored) or folders.head_rows(shapes)
        if rows is not None and rows != config.num_labels:
            config.num_labels = rows
    how |= _shared_out(role, config, options, name, trust_remote_code)
    model = _weights(role, folder, name, config, dtype, trust_remote_code, restored, unread, how)
    keep_gradients(model)
    use_cpu_attention(model, options)
    refuse_offloaded(model, name)
    if adapter is not None:
        model = put_beside(model, adapter) if method_of(model) else merge(model, adapter).to(dtype)
    model.name_or_path = str(source) if base is None else f"{base} + {source}"
    return model.eval().requires_grad_(False)


def base_of(adapter: Adapter, trust_remote_code: bool) -> Path:
    """The folder of an adapter's base.

    Raises:
        ModelError: it cannot be had, or holds an adapter itself.
    """
    folder = folders.facts_of(adapter.base, str(adapter.base), trust_remote_code=trust_remote_code)
    if folders.has_adapter(folder):
        raise ModelError(
            f"the base of the adapter {adapter.name} is {adapter.base}, which holds an adapter itself",
            expected="a whole model as the base",
            hint="merge the inner adapter into its own base (merge_and_unload), save it, and write its folder to "
            f"base_model_name_or_path in {adapter.folder / folders.ADAPTER_CONFIG}",
        )
    return folder


def config_of(role: Role, folder: Path, name: str, trust_remote_code: bool) -> Any:
    """The config of a model in this role.

    Raises:
        ModelError: it is damaged, or that of another kind of model.
    """
    from transformers import AutoConfig

    written = folders.read_config_file(folder, name)
    if not trust_remote_code:
        refuse_kernels(written, name)
    if role == "classifier" and written.get("model_type") in BODIES:
        body = BODIES[written["model_type"]]
        config = AutoConfig.for_model(body, **{k: v for k, v in written.items() if k not in ("model_type", "auto_map")})
    else:
        config = from_pretrained(AutoConfig, folder, name, trust_remote_code=trust_remote_code)
    if role != "classifier":  # a classifier reads one text, whatever it is made of
        folders.refuse_encoder_decoder(config, name)
    return config


def _loader(role: Role) -> Any:
    import transformers

    return getattr(transformers, CLASSES[role])


def _shared_out(role: Role, config: Any, options: LoadOptions, name: str, trust_remote_code: bool) -> dict[str, Any]:
    if options.parts == 1:
        return {}
    return {"distributed_config": sharding(_loader(role), config, options.parts, name, trust_remote_code)}


def _weights(
    role: Role,
    folder: Path,
    name: str,
    config: Any,
    dtype: torch.dtype,
    trust_remote_code: bool,
    restored: Shapes,
    unread: str | None,
    how: dict[str, Any],
    head: OwnHead | None = None,
) -> Any:
    import transformers

    loader = _loader(role)
    options = how if head is None else {**how, "key_mapping": WRAPPED}
    if head is not None and head.body is not None:
        loader, options = transformers.MODEL_MAPPING[type(config)], {**how, "state_dict": head.body}
    # what transformers draws for a tensor that an adapter brings, or that is not read, is replaced or not used
    with same_random_stream():
        model, report = from_pretrained(
            loader,
            folder,
            name,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            trust_remote_code=trust_remote_code,
            **options,
        )
    wrong = [
        f"{key} is {list(file)} in its weights and {list(expected)} by its config"
        for key, file, expected in sorted(report["mismatched_keys"])
        if key not in restored
    ]
    if wrong:
        raise ModelError(
            f"the weights of {name} do not fit its config: {'; '.join(wrong[:3])}{'; …' if len(wrong) > 3 else ''}",
            expected=f"the config that {type(model).__name__} was saved with",
        )
    refuse_unread_layers(report["unexpected_keys"], model.state_dict(), name)
    missing = sorted(
        key for key in report["missing_keys"] if key not in restored and not (unread and key.startswith(unread))
    )
    if missing:
        raise ModelError(
            f"{name} lacks weights: {', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}",
            expected=f"a complete {type(model).__name__}",
            hint=_HINTS[role],
        )
    return model
