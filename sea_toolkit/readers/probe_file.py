"""Files of probes: safetensors with what is known about the probe, and a hash of both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from torch import Tensor

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.fingerprint import digest_of
from sea_toolkit.util.files import write_whole
from sea_toolkit.util.json_text import parse_json

FORMAT = "sea_toolkit probe 3"
_AGAIN = "train or download it again"


@dataclass(frozen=True)
class ProbeInfo:
    """What is known about a probe; saved with it as text.

    Attributes:
        name: of the probe.
        model: whose hidden states it reads: a catalog name, a Hugging Face id, or a folder, beginning with "." as seen
            from the folder of the probe.
        model_type, hidden_size, model_layers, vocabulary: of that model, see `ModelFacts`.
        layer: how many of its blocks run.
        accuracy: on held-out data.
        hidden: width of the head's hidden layer; 0 for a linear head.
        activation: between the head's two layers.
        license, data, command: where it comes from.
        pooling: what the head is given.
    """

    __pydantic_config__ = ConfigDict(strict=True, extra="forbid")

    name: str
    model: str
    model_type: str
    hidden_size: Annotated[int, Field(gt=0)]
    model_layers: Annotated[int, Field(gt=0)]
    vocabulary: str
    layer: Annotated[int, Field(gt=0)]
    accuracy: Annotated[float, Field(ge=0, le=1)]
    hidden: Annotated[int, Field(ge=0)] = 0
    activation: Literal["gelu"] = "gelu"
    license: str = "unknown"
    data: str = ""
    command: str = ""
    pooling: Literal["mean over response tokens"] = "mean over response tokens"

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the tensors in its file."""
        inner = {"hidden.weight": (self.hidden, self.hidden_size), "hidden.bias": (self.hidden,)} if self.hidden else {}
        outer = {"weight": (self.hidden or self.hidden_size,), "bias": (), "state_sample": (self.hidden_size,)}
        return inner | outer


def write_probe(path: Path, tensors: Mapping[str, Tensor], info: ProbeInfo) -> None:
    """Write a probe, whole or not at all.

    Args:
        path: of the file; its folder is made if need be.
        tensors: those of `info.shapes`, float32 on the CPU.
        info: what is known about it.

    Raises:
        ModelError: the file cannot be written.
    """
    from safetensors.torch import save

    facts = {"format": FORMAT} | asdict(info)
    # one key only: safetensors writes several in random order, and the same probe should be the same bytes
    content = save(dict(tensors), {"probe": json.dumps(facts | {"sha256": digest_of(facts, tensors)})})
    try:
        write_whole(path, content)
    except OSError as error:
        raise ModelError(f"cannot write {path}: {error.strerror or error}", hint="choose another --out") from error


def read_probe(path: Path) -> tuple[dict[str, Tensor], ProbeInfo]:
    """The tensors of a probe, and what is known about it.

    Raises:
        ModelError: no such file, not a probe, or not the bytes that were written.
    """
    tensors, metadata = _contents(path)
    facts = _facts(metadata)
    stated, written = facts.get("format", "not stated"), facts.pop("sha256", None)
    if stated != FORMAT:
        raise ModelError(
            f"{path} is no probe: its format is {stated!r}",
            expected=f"{FORMAT!r}, as sea-toolkit train-probe writes it",
        )
    if written != digest_of(facts, tensors):
        raise ModelError(f"{path} is a damaged probe: it is not what was written", hint=_AGAIN)
    del facts["format"]
    try:
        info = TypeAdapter(ProbeInfo).validate_json(json.dumps(facts))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ModelError(f"{path} is a damaged probe: {place}: {first['msg']}", hint=_AGAIN) from error
    _check(path, tensors, info)
    return tensors, info


def _contents(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except FileNotFoundError as error:
        raise ModelError(f"there is no probe at {path}", hint="check the path") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{path} is corrupt, truncated or no safetensors file: {error}", expected="a probe file"
        ) from error


def _facts(metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        facts = parse_json(metadata.get("probe", "{}"))
    except ValueError:
        facts = None
    return facts if isinstance(facts, dict) else {"format": "not readable"}


def _check(path: Path, tensors: Mapping[str, Tensor], info: ProbeInfo) -> None:
    """Refuse tensors and facts that do not go together."""
    found = {name: (tuple(t.shape), t.dtype) for name, t in tensors.items()}
    finite = all(bool(t.isfinite().all()) for t in tensors.values())
    if found != {name: (shape, torch.float32) for name, shape in info.shapes.items()} or not finite:
        told = ", ".join(f"{name} {list(shape)} {str(dtype)[6:]}" for name, (shape, dtype) in sorted(found.items()))
        wanted = ", ".join(f"{name} {list(shape)}" for name, shape in info.shapes.items())
        raise ModelError(
            f"{path} is a damaged probe: {told}, finite: {finite}",
            expected=f"{wanted}, float32 and finite",
            hint=_AGAIN,
        )
    if info.layer > info.model_layers:
        raise ModelError(f"{path} is a damaged probe: layer {info.layer} of {info.model_layers}", hint=_AGAIN)
