"""PEFT adapters: found in a folder, checked against the model they were trained on, and merged into its weights."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.quiet import quiet_transformers
from sea_toolkit.models.hf_hub import is_hub_id
from sea_toolkit.models.remote_code import user_said
from sea_toolkit.models.weights_files import Shapes, read_shapes, weights_files
from sea_toolkit.util.json_text import parse_json
from sea_toolkit.util.paths import user_path
from sea_toolkit.util.version import install_hint

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
"""What PEFT puts before the names of the base's modules."""


@dataclass(frozen=True)
class Adapter:
    """An adapter that lies in `folder`, trained on the model `base`: a folder, or a Hugging Face id."""

    folder: Path
    name: str
    base: Path | str

    def shapes(self) -> Shapes:
        """Names and shapes of its tensors, as PEFT names them.

        Raises:
            ModelError: its weights are not there, pickled, or cut.
        """
        if not (self.folder / WEIGHTS).exists() and (self.folder / "adapter_model.bin").exists():
            raise ModelError(
                f"the adapter {self.name} has pickled weights only (adapter_model.bin)",
                expected="safetensors: a pickle can run code when it is read",
                hint=f"sea-toolkit models convert {self.folder} --out DIR, which reads no more than tensors",
            )
        return read_shapes(self.folder, [WEIGHTS], self.name)

    def replaced(self) -> Shapes:
        """Tensors of the base that the adapter brings whole (a head, resized embeddings), by the base's names."""
        return {_of_base(key): shape for key, shape in self.shapes().items()}


def _of_base(key: str) -> str:
    """The base's name of a tensor that an adapter brings whole; PEFT may save it with its wrapper's names."""
    return key.removeprefix(_PREFIX).replace(".modules_to_save.", ".").replace(".original_module.", ".")


def adapter_in(folder: Path, name: str, on: Path | str | None = None) -> Adapter | None:
    """The adapter of a folder, or None if there is none.

    Args:
        folder: to look into.
        name: for messages.
        on: its base, in the place of the one that it names.

    Raises:
        ModelError: PEFT is not installed, the folder also holds a whole model, or the adapter's config is not readable.
    """
    if not (folder / CONFIG).exists():
        return None
    try:
        config: dict[str, Any] = parse_json((folder / CONFIG).read_text(encoding="utf-8"))
        base = str(on or config.get("base_model_name_or_path") or "")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder / CONFIG} cannot be read: {error}", expected="the config of an adapter") from error
    if config.get("megatron_config"):
        raise ModelError(
            f"{folder / CONFIG} has PEFT import the module {config.get('megatron_core')!r} (megatron_config)",
            expected="an adapter of a transformers model",
            hint="take megatron_config out, if the adapter is for such a model",
        )
    if weights_files(folder):
        raise ModelError(
            f"{folder} holds a whole model and an adapter for {base or 'an unnamed model'}: "
            "it does not say whether the adapter is merged already",
            expected="one of them",
            hint=f"move {CONFIG} and its weights to a folder of their own, and give that folder to use the adapter",
        )
    if importlib.util.find_spec("peft") is None:
        raise ModelError(
            f"{name} is an adapter for {base or 'an unnamed model'}, and peft is not installed",
            expected="a whole model, or the package that reads adapters",
            hint=f"{install_hint('adapters')}, or merge the adapter into its base and save the whole",
        )
    return Adapter(folder, name, _base(folder, base, name) if on is None else on)


def _base(folder: Path, base: str, name: str) -> Path | str:
    for path in (user_path(base, f"the base of {name}"), folder / base) if base else ():
        if path.is_dir():
            return path
    if is_hub_id(base) and not base.startswith((".", "~")):
        return base
    raise ModelError(
        f"{name} is an adapter for {base or 'an unnamed model'}, which is not here",
        expected="the folder or the Hugging Face id of its base",
        hint=f"write where the base is to base_model_name_or_path in {folder / CONFIG}",
    )


def merge(base: Any, adapter: Adapter, *, of_transformers: bool = True) -> Any:
    """The base with the adapter's weights added in and its heads put in place; the base itself is changed.

    Args:
        base: the model.
        adapter: found for it.
        of_transformers: it is one of transformers' own classes for the adapter's task.

    Raises:
        ModelError: the adapter was trained on another architecture or other layers, or cannot be merged.
    """
    wrapped = _wrapped(base, adapter, of_transformers)
    with quiet_transformers():
        return wrapped.merge_and_unload()


def put_beside(base: Any, adapter: Adapter) -> Any:
    """The base with the adapter's layers beside its own, as quantized weights need it: added in, they would be rounded
    away.

    Raises:
        ModelError: as `merge`.
    """
    return _wrapped(base, adapter, True).get_base_model()


def _wrapped(base: Any, adapter: Adapter, of_transformers: bool) -> Any:
    """PEFT's own model of the two, checked."""
    from peft import PeftConfig, PeftModel, get_peft_model_state_dict

    shapes = adapter.shapes()
    try:
        _fit_vocabulary(base, adapter)
        own = set(base.state_dict())
        with quiet_transformers(), user_said(False):  # an adapter's config may name a tokenizer
            config = PeftConfig.from_pretrained(str(adapter.folder))
            if not of_transformers:
                config.task_type = None  # PEFT asks for what a class of that task has
            wrapped = PeftModel.from_pretrained(base, str(adapter.folder), config=config)
        expected = set(get_peft_model_state_dict(wrapped, save_embedding_layers=False))
    except Exception as error:  # PEFT raises what torch and its own checks raise
        reason = " ".join(line.strip() for line in str(error).strip().splitlines()[:2])
        raise _unfit(adapter, reason) from error
    unknown = sorted(key for key in shapes if key not in expected and _of_base(key) not in own)
    missing = sorted(expected - set(shapes))
    if unknown or missing:
        what, keys = ("the base has nothing for", unknown) if unknown else ("it lacks", missing)
        raise _unfit(adapter, f"{what} {', '.join(keys[:3])}{', …' if len(keys) > 3 else ''}")
    if not hasattr(wrapped.base_model, "merge_and_unload"):
        kind = next(iter(wrapped.peft_config.values())).peft_type
        raise ModelError(
            f"the adapter {adapter.name} is of the kind {getattr(kind, 'value', kind)}, which cannot be merged",
            expected="an adapter of weights, such as LoRA",
        )
    return wrapped


def _fit_vocabulary(base: Any, adapter: Adapter) -> None:
    """Give the base as many embeddings as the adapter brings (tokens that were added before its training)."""
    table = base.get_input_embeddings().weight
    names = [name for name, weight in base.named_parameters() if weight is table]
    shape = next((adapter.replaced()[name] for name in names if name in adapter.replaced()), None)
    if shape is not None and shape[0] != len(table):
        base.resize_token_embeddings(shape[0], mean_resizing=False)


def _unfit(adapter: Adapter, reason: str) -> ModelError:
    return ModelError(
        f"the adapter {adapter.name} does not fit its base {adapter.base}: {reason}",
        expected="the model that it was trained on",
        hint=f"check base_model_name_or_path in {adapter.folder / CONFIG}",
    )
