"""The safetensors files of a model's folder: which there are, whether they are whole, and what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sea_toolkit.errors import ModelError
from sea_toolkit.util.json_text import parse_json

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLES = ("pytorch_model*.bin", "adapter_model.bin")
_OTHER_FORMATS = {"*.h5": "TensorFlow", "*.msgpack": "Flax", "*.ckpt*": "TensorFlow", "*.pth": "PyTorch's own format"}
_POINTER = b"version https://git-lfs.github.com"

Shapes = dict[str, tuple[int, ...]]


def weights_files(folder: Path) -> list[str]:
    """Names of the files that hold the model's weights, as transformers picks them; empty if there are none.

    Raises:
        ModelError: the index of the shards cannot be read.
    """
    if (folder / WEIGHTS).exists():
        return [WEIGHTS]
    if not (folder / INDEX).exists():
        return []
    try:
        return sorted(set(parse_json((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{folder / INDEX} cannot be read: {error}", expected="the index of a sharded model", hint=_AGAIN
        ) from error


_AGAIN = "download the model again"


def tensor_shapes(path: Path) -> Shapes:
    """Names and shapes of the tensors of a safetensors file, from its header alone.

    Raises:
        ValueError: what is wrong with the file, in a few words.
    """
    if not path.is_file():
        raise ValueError("is missing")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if is_pointer(path):
            raise ValueError("is a Git LFS pointer, not the file itself")
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > size:
            raise ValueError(f"is no safetensors file, or was cut ({size} bytes)")
        try:
            header: dict[str, Any] = parse_json(file.read(length))
            tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
            end = 8 + length + max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
            shapes = {name: tuple(entry["shape"]) for name, entry in tensors.items()}
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError("is no safetensors file: its header cannot be read") from error
    if size != end:
        raise ValueError(f"has {size} bytes instead of {end}")
    return shapes


def is_pointer(path: Path) -> bool:
    """Whether a file is what Git leaves in place of a large file that was not downloaded."""
    with path.open("rb") as file:
        return file.read(len(_POINTER)) == _POINTER


def titled(folder: Path, name: str) -> str:
    """A model's name, and the folder it lies in where the name does not say that."""
    return name if Path(name) == folder else f"{name} ({folder})"


def whole_weights(folder: Path, name: str) -> Shapes:
    """Names and shapes of all tensors of a model's folder, once every file has been checked.

    Raises:
        ModelError: there are no weights, only pickled ones, or files that are missing, cut or Git LFS pointers, each
            of them named.
    """
    files = weights_files(folder)
    if not files:
        raise _no_weights(folder, name)
    return read_shapes(folder, files, name)


def read_shapes(folder: Path, files: list[str], name: str) -> Shapes:
    """Names and shapes of the tensors of some safetensors files.

    Raises:
        ModelError: files that cannot be used, each of them named.
    """
    shapes, problems = Shapes(), []
    for file in files:
        try:
            shapes |= tensor_shapes(folder / file)
        except ValueError as problem:
            problems.append(f"{file} {problem}")
    if problems:
        pointers = any("Git LFS" in line for line in problems)
        raise ModelError(
            f"the weights of {titled(folder, name)} are not whole: " + "; ".join(problems),
            expected="complete safetensors files",
            hint="git lfs pull in that folder" if pointers else _AGAIN,
        )
    return shapes


def _no_weights(folder: Path, name: str) -> ModelError:
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if pickles:
        return ModelError(
            f"{name} has pickled weights only ({', '.join(pickles[:3])}{', …' if len(pickles) > 3 else ''})",
            expected="safetensors: a pickle can run code when it is read",
            hint=f"sea-toolkit models convert {folder} --out DIR, which reads no more than tensors",
        )
    formats = {what: path.name for pattern, what in _OTHER_FORMATS.items() for path in sorted(folder.glob(pattern))}
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    if formats:
        kind, file = next(iter(formats.items()))
        got = f"{name} has weights of {kind} only ({file})"
    elif others:
        got = f"{titled(folder, name)} has no {WEIGHTS} and no {INDEX}, though it holds {', '.join(others[:3])}"
    else:
        got = f"{titled(folder, name)} has no weights: there is no {WEIGHTS}"
    return ModelError(got, expected=f"{WEIGHTS}, or shards with {INDEX}", hint="save it with save_pretrained")
