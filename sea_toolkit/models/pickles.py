"""From pickled weights to safetensors, in a process of its own that reads tensors alone.

`python -m sea_toolkit.models.pickles SOURCE TARGET` converts the weights of one folder into another.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from sea_toolkit.errors import ModelError, SeaError
from sea_toolkit.models.adapters import CONFIG as ADAPTER_CONFIG
from sea_toolkit.models.adapters import WEIGHTS as ADAPTER_WEIGHTS
from sea_toolkit.models.cache import disk_errors, workspace
from sea_toolkit.models.weights_files import INDEX, WEIGHTS, read_shapes, weights_files
from sea_toolkit.util.json_text import parse_json
from sea_toolkit.util.progress import Progress, silent

_PICKLE, _PICKLE_INDEX, _ADAPTER_PICKLE = "pytorch_model.bin", "pytorch_model.bin.index.json", "adapter_model.bin"
_BESIDE = ("*.json", "*.txt", "*.jinja", "*.model", "*.tiktoken", "*.py", "LICENSE*", "README*")


def convert_folder(source: Path, target: Path, progress: Progress = silent) -> Path:
    """Copy a model or adapter with pickled weights (`.bin`) to a new folder with safetensors.

    The pickles are read by `torch.load(weights_only=True)`, which makes tensors and runs no code, in another process.
    The new folder appears whole or not at all.

    Args:
        source: folder of a transformers model or a PEFT adapter.
        target: the new folder; it does not exist yet, or is empty.
        progress: called at the beginning and the end.

    Returns:
        `target`.

    Raises:
        ModelError: there are no pickled weights, they hold more than tensors, or `target` cannot be written.
    """
    if not source.is_dir():
        raise ModelError(f"{source} is no folder", expected="the folder of a model with pickled weights")
    pickles = _pickles(source)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ModelError(f"{target} exists already", expected="a new folder", hint="another --out")
    what = f"converting the weights of {source.name}"
    progress(0, 1, what)
    with workspace(target.absolute(), cached=False) as work:
        folder = work / "converted"
        with disk_errors(target, cached=False):
            folder.mkdir()
            for path in sorted({path for pattern in _BESIDE for path in source.glob(pattern) if path.is_file()}):
                if path.name != _PICKLE_INDEX:
                    shutil.copy2(path, folder / path.name)
        _in_another_process(source, folder, pickles)
        read_shapes(folder, weights_files(folder) or [ADAPTER_WEIGHTS], str(source))
        with disk_errors(target, cached=False):
            folder.rename(target)
    progress(1, 1, what)
    return target


def _in_another_process(source: Path, folder: Path, pickles: list[str]) -> None:
    # -P: nothing is imported from the working folder
    command = [sys.executable, "-P", "-m", "sea_toolkit.models.pickles", str(source), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"the process ended with {done.returncode}"])[-1]
        raise ModelError(
            f"the weights in {source} ({', '.join(pickles[:3])}) cannot be converted: {reason}",
            expected="pickles of tensors alone, as torch.save writes a state_dict",
            hint="get the model as safetensors from its authors",
        )


def _pickles(source: Path) -> list[str]:
    """Names of the pickled weights of a folder.

    Raises:
        ModelError: there are none, or shards are missing.
    """
    if (source / ADAPTER_CONFIG).exists() and (source / _ADAPTER_PICKLE).exists():
        return [_ADAPTER_PICKLE]
    if (source / _PICKLE).exists():
        return [_PICKLE]
    if not (source / _PICKLE_INDEX).exists():
        raise ModelError(
            f"{source} has no pickled weights", expected=f"{_PICKLE}, shards with {_PICKLE_INDEX}, or {_ADAPTER_PICKLE}"
        )
    try:
        index = parse_json((source / _PICKLE_INDEX).read_text(encoding="utf-8"))
        names = sorted(set(index["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{source / _PICKLE_INDEX} cannot be read: {error}", hint="download it again") from error
    missing = [name for name in names if not (source / name).exists()]
    if missing:
        raise ModelError(f"shards are missing in {source}: {', '.join(missing)}", hint="download the model again")
    return names


def _convert(source: Path, target: Path) -> None:
    """The work of the other process: one safetensors file for each pickle, and the index of several."""
    names, size = _pickles(source), 0
    weight_map: dict[str, str] = {}
    for name in names:
        tensors = _tensors(source / name)
        file = _safe_name(name)
        _save(tensors, target / file)
        weight_map |= dict.fromkeys(tensors, file)
        size += sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if len(names) > 1 or names[0] not in (_PICKLE, _ADAPTER_PICKLE):
        index = {"metadata": {"total_size": size}, "weight_map": weight_map}
        (target / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _safe_name(name: str) -> str:
    if name == _ADAPTER_PICKLE:
        return ADAPTER_WEIGHTS
    return WEIGHTS if name == _PICKLE else name.replace("pytorch_model", "model").removesuffix(".bin") + ".safetensors"


def _tensors(path: Path) -> dict[str, Any]:
    import torch

    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises whatever a file makes it raise
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{path.name}: {reason}") from error
    if not isinstance(loaded, dict) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise ModelError(f"{path.name} holds other things than tensors by name")
    return loaded


def _save(tensors: dict[str, Any], path: Path) -> None:
    """Write tensors that may share memory (tied embeddings), each with a copy of its own."""
    from safetensors.torch import save_file

    seen: set[int] = set()
    for name, tensor in tensors.items():
        pointer = tensor.untyped_storage().data_ptr()
        whole = tensor.is_contiguous() and tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
        tensors[name] = tensor if whole and pointer not in seen else tensor.contiguous().clone()
        seen.add(pointer)
    save_file(tensors, path, {"format": "pt"})


def main(source: str, target: str) -> str | None:
    """What the other process does; returns what went wrong, in one line."""
    try:
        _convert(Path(source), Path(target))
    except (SeaError, OSError) as problem:
        return " ".join(str(problem).split())
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
