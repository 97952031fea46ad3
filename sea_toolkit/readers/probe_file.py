"""Files of probes: safetensors with what is known about the probe, and a hash of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import ConfigDict, Field
from torch import Tensor

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.fact_file import FactFile

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


PROBE = FactFile(
    name="probe",
    format=FORMAT,
    schema=ProbeInfo,
    maker="sea-toolkit train-probe",
    wanted="a probe file",
    missing="check the path",
    again=_AGAIN,
)


def write_probe(path: Path, tensors: Mapping[str, Tensor], info: ProbeInfo) -> None:
    """Write a probe, whole or not at all.

    Args:
        path: of the file; its folder is made if need be.
        tensors: those of `info.shapes`, float32 on the CPU.
        info: what is known about it.

    Raises:
        ModelError: the file cannot be written.
    """
    PROBE.write(path, tensors, info)


def read_probe(path: Path) -> tuple[dict[str, Tensor], ProbeInfo]:
    """The tensors of a probe, and what is known about it.

    Raises:
        ModelError: no such file, not a probe, or not the bytes that were written.
    """
    tensors, info = PROBE.read(path)
    _check(path, tensors, info)
    return tensors, info


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
