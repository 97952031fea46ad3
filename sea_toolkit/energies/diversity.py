"""The energy `diversity`: the chains of a prompt repel each other."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import Energy, ResponseFunction

EMPTY = 1e-6
"""Added to the squared length of a bag of tokens, so that an empty text has similarity 0 and a finite gradient."""


class Diversity(Energy):
    """Mean cosine between the token counts of a chain and those of each other chain of its prompt; 0 to 1.

    For a relaxed response the counts are expected ones. This energy belongs to all chains of a prompt together: the
    total is `Σ_c E_c`, in which each pair counts 2 / (C − 1). Samplers that accept or keep chains one by one are
    refused, and a run keeps the set of chains with the lowest total energy.
    """

    differentiable = True
    joint = True

    def bind(self, context: Context) -> ResponseFunction:
        """The energy itself: it is the same in every run."""
        return self.energy

    def energy(self, response: SoftResponse) -> Float[Tensor, "P C"]:
        counts = response.counts().float()
        products = torch.einsum("pcu,pdu->pcd", counts, counts)
        length = (products.diagonal(dim1=-2, dim2=-1) + EMPTY).sqrt()
        alike = products / (length.unsqueeze(-1) * length.unsqueeze(-2))
        others = 1.0 - torch.eye(alike.shape[-1], device=alike.device)
        return (alike * others).sum(-1) / max(1, alike.shape[-1] - 1)
