"""Probes: a linear reward on the policy's own hidden states; kilobytes, and part of a forward pass.

    r(y) = w · mean_t h_t + b        (a logit; h_t the output of block `layer` at token t)

The mean runs over the tokens of the response alone: it is fed to the policy without a prompt and without
special tokens, from position 0 on, in training as in use.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.fingerprint import PolicyFingerprint
from sea_toolkit.readers.probe_file import ProbeInfo, read_probe, write_probe

_FLOOR = 1e-2
"""Least expected length that the mean divides by: below it the reward goes to `b`, with bounded gradients."""
_SAME, _RELATED = 0.02, 0.5
"""Relative distance of embedding samples: rounding to bfloat16, and quantized or fine-tuned weights."""


@dataclass(frozen=True, eq=False)
class Probe:
    """A linear head with its facts.

    Attributes:
        weight: `[D]`, float32.
        bias: scalar, float32.
        embedding_sample: from the policy it was trained on (see `sea_toolkit.lm.fingerprint`).
    """

    weight: Float[Tensor, " D"]
    bias: Float[Tensor, ""]
    embedding_sample: Float[Tensor, "R S"]
    info: ProbeInfo

    @property
    def layer(self) -> int:
        """How many blocks of the policy run before the head: `sea_toolkit.lm.truncate.truncate(model, layer)`."""
        return self.info.layer

    def to(self, device: torch.device | str) -> Probe:
        """The same probe on another device."""
        return replace(self, weight=self.weight.to(device), bias=self.bias.to(device))

    def score_hidden(
        self, hidden: Float[Tensor, "*rows T D"], mask: Float[Tensor, "*rows T"] | Bool[Tensor, "*rows T"]
    ) -> Float[Tensor, "*rows"]:
        """The reward, a logit in float32.

        Args:
            hidden: outputs of block `layer`.
            mask: how much of each position belongs to the response, 0 to 1 (survival, for soft responses). An
                empty
                response gets the bias.
        """
        weights = mask.float()
        tokens = hidden.float() @ self.weight
        # values outside the mask may be NaN, which would survive a product with zero
        tokens = tokens.masked_fill(weights == 0, 0.0)
        return (tokens * weights).sum(-1) / weights.sum(-1).clamp(min=_FLOOR) + self.bias

    def check(self, policy: PolicyFingerprint) -> list[str]:
        """Refuse a policy that the probe was not trained on; return warnings about small differences.

        Raises:
            ModelError: architecture, width, layer count, vocabulary or embeddings differ; both policies are
                named.
        """
        mine, wrong = self.info, []
        for what, own, theirs in (
            ("an architecture of type", mine.model_type, policy.model_type),
            ("hidden size", mine.hidden_size, policy.hidden_size),
            ("layer count", mine.policy_layers, policy.layers),
        ):
            if own != theirs:
                wrong.append(f"{what} {theirs} instead of {own}")
        if mine.vocabulary != policy.vocabulary:
            wrong.append("another vocabulary")
        distance = 0.0
        if not wrong:
            own_sample = self.embedding_sample
            if own_sample.shape != policy.embedding_sample.shape:
                wrong.append("embeddings of another shape")
        if not wrong:
            distance = float((own_sample - policy.embedding_sample).norm() / own_sample.norm().clamp(min=1e-12))
            if not distance <= _RELATED:
                wrong.append("other weights")
        if wrong:
            raise ModelError(
                f"the probe {mine.name} was made for {mine.policy}; {policy.name} has " + ", ".join(wrong),
                expected=f"{mine.policy} as the policy",
                hint=f"sea-toolkit train-probe DATA --policy {policy.name} --out {mine.name}.safetensors",
            )
        if distance > _SAME:
            return [
                f"the probe {mine.name} was made for {mine.policy}; {policy.name} has the same shape and "
                f"vocabulary, but embeddings {distance:.0%} away (quantized or fine-tuned?); rewards may be off"
            ]
        return []

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, atomically.

        Raises:
            ModelError: the file cannot be written.
        """
        tensors = {"weight": self.weight, "bias": self.bias.reshape(()), "embedding_sample": self.embedding_sample}
        write_probe(Path(path), {k: t.detach().float().cpu().contiguous() for k, t in tensors.items()}, self.info)

    @classmethod
    def load(cls, path: str | Path) -> Probe:
        """Read a probe.

        Raises:
            ModelError: no such file, not a probe, or corrupt.
        """
        tensors, info = read_probe(Path(path))
        return cls(tensors["weight"], tensors["bias"], tensors["embedding_sample"], info)


def fold(weight: Tensor, bias: Any, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias of `w · (h − mean) / std + b` as one linear map of h; float32."""
    scaled = weight.double() / std.double()
    return scaled.float(), (torch.as_tensor(bias).double() - scaled @ mean.double()).float()
