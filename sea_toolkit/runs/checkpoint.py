"""A run's folder on disk: recipe, manifest, trace, checkpoint and result; every file is written whole or not at all."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from sea_toolkit.errors import SeaError
from sea_toolkit.util.run_files import CHECKPOINT, TRACE, write_run_file


def save_checkpoint(folder: Path, state: Any, parts: Mapping[str, Any]) -> None:
    """The sampler's state, and that of each part of the run, in one file: dataclasses, lists, tuples and tables of
    tensors, numbers and texts."""
    tensors: dict[str, Tensor] = {}
    shape = {"state": pack(state, "state", tensors), "parts": pack(dict(parts), "parts", tensors)}
    tensors = {k: t.detach().cpu().contiguous().clone() for k, t in tensors.items()}
    write_run_file(folder / CHECKPOINT, save(tensors, {"shape": json.dumps(shape)}))


def load_checkpoint(folder: Path, state_type: type, device: Any) -> tuple[Any, dict[str, Any]]:
    """The sampler's state, and those of the parts; tensors lie on `device`.

    Raises:
        SeaError: there is none, or it is damaged.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        raise SeaError(
            f"{folder} holds no checkpoint", hint="a run writes one with --out, every --checkpoint-every steps"
        )
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            shape = json.loads(file.metadata()["shape"])
            tensors = {name: file.get_tensor(name).to(device) for name in file.keys()}  # noqa: SIM118
        return state_type(**unpack(shape["state"], tensors)), unpack(shape["parts"], tensors)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise SeaError(f"the checkpoint {path} is damaged: {error}", hint="start the run again") from error


def pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """The value's shape as JSON; its tensors go to `tensors` by path. Each table names the type that it represents."""
    if isinstance(value, Tensor):
        tensors[name] = value
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


def unpack(shape: Any, tensors: dict[str, Tensor]) -> Any:
    """What `pack` was given; dataclasses come back as tables of their fields."""
    if isinstance(shape, list):
        return [unpack(v, tensors) for v in shape]
    if not isinstance(shape, dict):
        return shape
    ((kind, content),) = shape.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "tuple":
        return tuple(unpack(v, tensors) for v in content)
    return {k: unpack(v, tensors) for k, v in content.items()}


def cut_trace(path: Path, step: int) -> None:
    """Drop the trace's lines of steps after `step`, the final scoring of a run that now continues, and a line that a
    killed run left half written."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
            if entry["step"] <= step and not entry.get("last"):
                kept.append(line)
        except (ValueError, KeyError):
            break
    write_run_file(path, "".join(f"{line}\n" for line in kept).encode())


def append_trace(folder: Path, line: dict[str, Any]) -> None:
    """Append one line.

    Raises:
        SeaError: the disk is full, or the folder went away.
    """
    try:
        with open(folder / TRACE, "a", encoding="utf-8") as trace:
            trace.write(json.dumps(line, ensure_ascii=False) + "\n")
    except OSError as error:
        what = f"cannot write {folder / TRACE}: {error.strerror or error}"
        raise SeaError(what, hint="another --out, or free space") from error
