"""What the first calls of an energy show of it: mistakes that give numbers, and so would go unnoticed.

A few comparisons at the first call of each kind, nothing at the later ones. The conformance kit looks much closer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from sea_toolkit.core.response import SoftResponse, is_any


@dataclass
class FirstLook:
    """What was seen of one energy in one run.

    Attributes:
        notes: lines for the result.
    """

    notes: list[str] = field(default_factory=list)
    _gradient: bool = False
    _dead: bool = False
    _kinds: set[bool] = field(default_factory=set)

    def copies(self, response: SoftResponse) -> dict[str, Tensor]:
        """What `changed` compares with: empty but at the first call for hard and for relaxed responses.

        Autograd's counters see what is written through torch at every call; numpy and `.data` pass them by.
        """
        relaxed = response.weights.requires_grad
        if relaxed in self._kinds:
            return {}
        self._kinds.add(relaxed)
        return {name: part.detach().clone() for name, part in parts_of(response).items()}

    def at_modes(self, label: str) -> None:
        """Note, once, an energy that left torch in another mode; it was put back."""
        note = (
            f"{label!r} switched gradients or the default dtype of the whole process: it was put back; "
            "with torch.no_grad(): … ends by itself"
        )
        if note not in self.notes:
            self.notes.append(note)

    @staticmethod
    def changed(response: SoftResponse, copies: dict[str, Tensor]) -> list[str]:
        """Names of the tensors that are no longer equal to their `copies`."""
        parts = parts_of(response)
        return [name for name, copy in copies.items() if not torch.equal(parts[name], copy)]

    def at_gradient(self, label: str, response: SoftResponse, value: Tensor) -> None:
        """Note an energy whose value does not depend on the response, as autograd sees it."""
        asked = torch.is_grad_enabled() and (response.taps is not None or response.weights.requires_grad)
        if self._gradient or not asked:
            return
        self._gradient = True
        if not value.requires_grad:
            self.notes.append(
                f"no gradient reaches {label!r}: it only takes part in the choice (.item(), .detach(), numpy and "
                "response.ids cut it off)"
            )

    def at_dead_positions(
        self, label: str, response: SoftResponse, value: Tensor, energy: Callable[[SoftResponse], Tensor]
    ) -> None:
        """Note an energy that reads what stands after the end of a text: asked once more with other tokens there.

        Args:
            label: of the term.
            response: what it was asked about.
            value: what it said, `[P, C]`.
            energy: asks again.
        """
        if self._dead or response.candidates is None or response.candidates.shape[-1] > 1:
            return
        dead, plain = response.alive <= 0, response.ids[~is_any(response.ids, response.eos_ids)]
        if not bool(dead.any()) or not len(plain):
            return
        self._dead = True
        ids = torch.where(dead, plain[0], response.ids)
        with torch.no_grad():
            again = energy(replace(response, ids=ids, candidates=ids[..., None], taps=None))
        if not torch.allclose(again, value.detach(), rtol=1e-4, atol=1e-4, equal_nan=True):
            self.notes.append(
                f"{label!r} reads positions after the end of the text, so that the same answer has another energy "
                "beside a longer one: weigh each position with response.content or response.alive"
            )


def parts_of(response: SoftResponse) -> dict[str, Tensor]:
    """The tensors of a response that an energy could write into, by name."""
    parts = {"weights": response.weights, "ids": response.ids, "survival": response.alive}
    return parts if response.candidates is None else {**parts, "candidates": response.candidates}
