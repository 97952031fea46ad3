"""What of a run is saved in a checkpoint, and how it comes back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from sea_toolkit.errors import SeaError
from sea_toolkit.registry.blame import Owner, attribute_errors_to
from sea_toolkit.runs.checkpoint_file import METADATA, read_checkpoint_file, unpack, write_checkpoint_file
from sea_toolkit.util.run_files import CHECKPOINT


def save_checkpoint(folder: Path, run: str, state: Any, parts: Mapping[str, Any], sampler: Owner) -> None:
    """The sampler's state, and that of each part of the run, in one file: dataclasses, lists, tuples and tables of
    tensors, numbers and texts.

    Args:
        folder: of the run.
        run: what it was asked for, as a hash: see `request_digest`.
        state: of the sampler.
        parts: name → state of a part.
        sampler: who made the state.

    Raises:
        AttributedError: the sampler's state holds something that cannot be saved.
        SeaError: the folder cannot be written, or the disk is full.
    """
    tensors: dict[str, Tensor] = {}
    with attribute_errors_to(sampler, "cannot be saved", user_errors_pass=True):
        own = pack(state, "state", tensors)
        save(tensors)  # of a kind that can be saved? Those of the parts are ours
    shape = {"state": own, "parts": pack(dict(parts), "parts", tensors)}
    write_checkpoint_file(folder / CHECKPOINT, save(tensors, {"shape": json.dumps(shape), "run": run} | METADATA))


def load_checkpoint(folder: Path, run: str, state_type: type, device: Any) -> tuple[Any, dict[str, Any]]:
    """The sampler's state, and those of the parts; tensors lie on `device`.

    Raises:
        SeaError: there is none, it is damaged, of another run, or of another version of the sampler.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        raise SeaError(
            f"{folder} holds no checkpoint", hint="a run writes one with --out, every --checkpoint-every steps"
        )
    content, metadata = read_checkpoint_file(path)
    if metadata.get("run") != run:
        raise SeaError(f"{path} is of a run with another recipe or other prompts", expected="that of this run")
    try:
        shape = json.loads(metadata["shape"])
        tensors = {name: tensor.to(device) for name, tensor in load(content).items()}
        return state_type(**unpack(shape["state"], tensors)), unpack(shape["parts"], tensors)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise SeaError(
            f"the checkpoint {path} cannot be used by this version: {error}", hint="start the run again"
        ) from error


def pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """The value's shape as JSON; its tensors go to `tensors` by path. Each table names the type that it represents."""
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {"table": {k: pack(v, f"{name}.{k}", tensors) for k, v in fields.items()}}
    if isinstance(value, dict) and all(isinstance(k, str) for k in value):
        return {"table": {k: pack(v, f"{name}.{k}", tensors) for k, v in value.items()}}
    if isinstance(value, list | tuple):
        items = [pack(v, f"{name}.{i}", tensors) for i, v in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{name} of a sampler's state is a {type(value).__name__}; only tensors, lists, numbers are saved")
