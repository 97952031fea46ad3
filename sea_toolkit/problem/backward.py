"""The backward pass through the energy: who is at fault where it fails."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.ranks import same
from sea_toolkit.registry.blame import Owner, attribute_errors_to, wrong_return


class Backward:
    """Follows the gradient through what plugins have computed.

    A tensor that a plugin returned is marked with its owner: the gradient arrives there before it goes into the
    plugin's own part of the graph. Autograd runs what was computed last first, so that the parts do not mix, and the
    mark that was passed last tells whose part has failed.
    """

    def __init__(self) -> None:
        self._passed: list[Owner] = []

    def mark(self, value: Float[Tensor, "*shape"], owner: Owner) -> Float[Tensor, "*shape"]:
        """The same tensor; what is behind it in the graph is the owner's."""
        if value.requires_grad:
            value.register_hook(lambda gradient: self._passed.append(owner))
        return value

    def gradient(
        self, value: Float[Tensor, "P C"], latent: Float[Tensor, "*shape"], owners: Sequence[Owner]
    ) -> Float[Tensor, "*shape"]:
        """`∂ Σ value / ∂ latent`.

        Args:
            value: made of marked tensors.
            latent: what they were computed from.
            owners: of the energies that should have a gradient.

        Raises:
            PluginError: a marked part fails, or no gradient reaches `latent`.
            OutOfMemoryError: it takes more memory than there is.
        """
        self._passed.clear()
        found = None
        try:
            if value.requires_grad:
                (found,) = torch.autograd.grad(value.sum(), latent, allow_unused=True)
        except BaseException as error:
            if not self._passed:
                raise
            with attribute_errors_to(self._passed[-1], "failed in the backward pass", user_errors_pass=True):
                raise error
        if found is None:
            names = " and ".join(str(owner) for owner in owners)
            raise wrong_return(
                Owner(names),
                "no gradient reaches the response",
                expected="a value that is computed from the response's tensors",
                hint="without .item(), .detach() or numpy; a sampler such as best-of-n needs no gradient",
            )
        return same(found)
