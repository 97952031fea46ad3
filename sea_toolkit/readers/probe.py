"""Probes: a small head on the hidden states of a language model or encoder; kilobytes.

    r(y) = w · m + b,      or with a hidden layer      r(y) = w · gelu(W m + c) + b,      m = mean_t h_t

a logit, with h_t the output of block `layer` at token t. The mean runs over the tokens of the response alone: it is fed
to the model without a prompt, between the special tokens that its tokenizer writes around a text, in training as in
use. A probe on the policy's own hidden states is part of the policy's forward pass; one on another model's brings that
model into a run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.fingerprint import ModelFacts
from sea_toolkit.readers.probe_file import ProbeInfo, read_probe, write_probe
from sea_toolkit.readers.probe_head import ProbeHead

_SAME, _RELATED = 0.05, 0.5
"""Relative distance of state samples: rounding to bfloat16, and quantized or fine-tuned weights."""


@dataclass(frozen=True, eq=False)
class Probe:
    """A head with its facts.

    Attributes:
        head: from hidden states to the reward.
        state_sample: from the model it was trained on (see `sea_toolkit.lm.fingerprint`).
        info: what is known about it.
    """

    head: ProbeHead
    state_sample: Float[Tensor, " D"]
    info: ProbeInfo

    @property
    def layer(self) -> int:
        """How many blocks of the model run before the head: `sea_toolkit.lm.truncate.truncate(model, layer)`."""
        return self.info.layer

    def to(self, device: torch.device | str) -> Probe:
        """The same probe on another device."""
        return replace(self, head=self.head.to(device))

    def other_facts(self, model: ModelFacts) -> list[str]:
        """What differs between a model and the one that the probe reads; empty if it may be the same."""
        mine, wrong = self.info, []
        for what, own, theirs in (
            ("an architecture of type", mine.model_type, model.model_type),
            ("hidden size", mine.hidden_size, model.hidden_size),
            ("layer count", mine.model_layers, model.layers),
        ):
            if own != theirs:
                wrong.append(f"{what} {theirs} instead of {own}")
        return wrong if mine.vocabulary == model.vocabulary else [*wrong, "another vocabulary"]

    def distance(self, sample: Float[Tensor, " D"]) -> float:
        """How far the state sample of a model with the same facts is from that of the model the probe was made for."""
        return float((self.state_sample - sample).norm() / self.state_sample.norm().clamp(min=1e-12))

    @staticmethod
    def same(distance: float) -> bool:
        """Whether states at that distance are those of the same weights, perhaps in another precision."""
        return distance <= _SAME

    @staticmethod
    def related(distance: float) -> bool:
        """Whether states at that distance are those of the same weights, or of weights derived from them."""
        return distance <= _RELATED

    def notes(self, distance: float, name: str) -> list[str]:
        """What a person should know of a related model.

        Args:
            distance: see `distance`.
            name: of that model.
        """
        if self.same(distance):
            return []
        return [
            f"the probe {self.info.name} was made for {self.info.model}; {name} has the same shape and vocabulary, but "
            f"hidden states {distance:.0%} away (quantized or fine-tuned?); rewards may be off"
        ]

    def refused(self, name: str, wrong: list[str]) -> ModelError:
        """The error of a model that is not the probe's."""
        return ModelError(
            f"the probe {self.info.name} was made for {self.info.model}; {name} has {', '.join(wrong)}",
            expected="the model that the probe was made for",
            hint=f"sea-toolkit train-probe DATA --model {self.info.model} --out {self.info.name}.safetensors",
        )

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, atomically.

        Raises:
            ModelError: the file cannot be written.
        """
        tensors = self.head.tensors | {"state_sample": self.state_sample}
        write_probe(Path(path), {k: t.detach().float().cpu().contiguous() for k, t in tensors.items()}, self.info)

    @classmethod
    def load(cls, path: str | Path) -> Probe:
        """Read a probe.

        Raises:
            ModelError: no such file, not a probe, or corrupt.
        """
        tensors, info = read_probe(Path(path))
        return cls(ProbeHead.of(tensors), tensors["state_sample"], info)
