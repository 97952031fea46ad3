"""The head of a probe: from the mean of a text's hidden states to a logit, linear or with one hidden layer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import gelu, linear

_FLOOR = 1e-2
"""Least expected length that the mean divides by: below it the reward goes to that of a zero mean, with bounded
gradients."""


class HiddenLayer(NamedTuple):
    """The hidden layer of a head, with a GELU after it."""

    weight: Float[Tensor, "N D"]
    bias: Float[Tensor, " N"]


@dataclass(frozen=True, eq=False)
class ProbeHead:
    """r = w · m + b, or r = w · gelu(W m + c) + b, of a mean m of hidden states; float32.

    Attributes:
        weight: w, `[D]`, or `[N]` after a hidden layer.
        bias: b.
        hidden: W and c, or None.
    """

    weight: Float[Tensor, " N"]
    bias: Float[Tensor, ""]
    hidden: HiddenLayer | None = None

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The weights, by their names in a probe's file."""
        inner = {} if self.hidden is None else {"hidden.weight": self.hidden.weight, "hidden.bias": self.hidden.bias}
        return inner | {"weight": self.weight, "bias": self.bias}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> ProbeHead:
        """The head with these weights."""
        inner = HiddenLayer(tensors["hidden.weight"], tensors["hidden.bias"]) if "hidden.weight" in tensors else None
        return cls(tensors["weight"], tensors["bias"], inner)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the weights."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.tensors.items()):
            digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def to(self, target: torch.device | torch.dtype | str) -> ProbeHead:
        """The same head on another device, or in another precision."""
        return self.of({name: tensor.to(target) for name, tensor in self.tensors.items()})

    def of_means(self, means: Float[Tensor, "*rows D"]) -> Float[Tensor, "*rows"]:
        """The rewards of means of hidden states."""
        inner = means if self.hidden is None else gelu(linear(means, *self.hidden))
        return inner @ self.weight + self.bias

    def of_tokens(
        self, hidden: Float[Tensor, "*rows T D"], mask: Float[Tensor, "*rows T"] | Bool[Tensor, "*rows T"]
    ) -> Float[Tensor, "*rows"]:
        """The rewards of texts, token by token; float32.

        Args:
            hidden: states of their tokens.
            mask: how much of each position belongs to the text, 0 to 1 (survival, for soft responses). An empty text
                gets the reward of a zero mean.
        """
        weights = mask.float()
        length = weights.sum(-1).clamp(min=_FLOOR)
        # values outside the mask may be NaN, which would survive a product with zero
        if self.hidden is not None:
            states = hidden.float().masked_fill((weights == 0)[..., None], 0.0)
            return self.of_means((states * weights[..., None]).sum(-2) / length[..., None])
        tokens = hidden.float() @ self.weight
        tokens = tokens.masked_fill(weights == 0, 0.0)
        return (tokens * weights).sum(-1) / length + self.bias


def fold(weight: Tensor, bias: Any, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias of `w · (h − mean) / std + b` as one linear map of h; float32.

    Args:
        weight: `[D]`, or `[N, D]` for N maps.
        bias: a number, or `[N]`.
        mean, std: `[D]`, of the training data.
    """
    scaled = weight.double() / std.double()
    return scaled.float(), (torch.as_tensor(bias).double() - scaled @ mean.double()).float()
