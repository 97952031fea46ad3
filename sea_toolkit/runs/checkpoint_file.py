"""The file of a checkpoint: a safetensors file with its own hash inside. It is checked here, without torch."""

from __future__ import annotations

import hashlib
import json
import struct
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sea_toolkit.util.run_files import damaged, read_bytes, write_run_file

_UNSEALED = b'"sha256":"' + b"0" * 64 + b'"'
"""What the header holds while the hash is taken; inside of a text the quotes would be escaped."""

METADATA = {"sha256": "0" * 64}
"""To be put among the metadata of the safetensors file."""


def write_checkpoint_file(path: Path, content: bytes) -> None:
    """Seal a safetensors file that has `METADATA`, and write it.

    Raises:
        SeaError: the folder cannot be written, or the disk is full.
    """
    digest = hashlib.sha256(content).hexdigest().encode()
    write_run_file(path, content.replace(_UNSEALED, _UNSEALED.replace(b"0" * 64, digest), 1))


def read_checkpoint_file(path: Path) -> tuple[bytes, dict[str, str]]:
    """The safetensors file and its metadata.

    Raises:
        SeaError: it is missing, damaged or edited.
    """
    content = read_bytes(path)
    try:
        (size,) = struct.unpack_from("<Q", content)
        metadata: dict[str, str] = json.loads(content[8 : 8 + size])["__metadata__"]
        seal = metadata["sha256"]
        sealed = _UNSEALED.replace(b"0" * 64, seal.encode())
        plain = content.replace(sealed, _UNSEALED, 1)
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(path, f"{type(error).__name__} in its header") from error
    if hashlib.sha256(plain).hexdigest() != seal:
        raise damaged(path, "its SHA-256 is another one")
    return content, metadata


def facts_of(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The states of the run's parts, with None in place of tensors."""
    states: dict[str, Any] = unpack(json.loads(metadata["shape"])["parts"], defaultdict(lambda: None))
    return states


def unpack(shape: Any, tensors: Mapping[str, Any]) -> Any:
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
