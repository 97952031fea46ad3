"""What energies that are made of other bound energies share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import overload

from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy
from sea_toolkit.problem.functions import numbers_for


def has_gradient(bound: BoundEnergy) -> bool:
    """Whether it can be asked about a relaxed response."""
    return bound.energy is not None and bound.has_gradient


def of_texts(bound: BoundEnergy, prompts: Sequence[str], texts: Sequence[str]) -> Float[Tensor, " N"]:
    """The energies of N texts, by a member with `score_text`."""
    assert bound.score_text is not None
    return numbers_for(bound.score_text(prompts, texts), len(texts))


def of_responses(bound: BoundEnergy, context: Context) -> Callable[[SoftResponse], Float[Tensor, "P C"]]:
    """The energy of a member; of one that reads texts alone, that of the responses' texts."""
    if bound.energy is not None:
        return bound.energy

    def energy(response: SoftResponse) -> Float[Tensor, "P C"]:
        p, c = response.shape[:2]
        rows = context.policy.text(response.ids) if response.texts is None else response.texts
        prompts = [prompt for prompt in context.prompts for _ in range(c)]
        found = of_texts(bound, prompts, [text for row in rows for text in row])
        return found.reshape(p, c).to(response.ids.device)

    return energy


class Lines(Sequence[str]):
    """The different lines of several lists, as they are when they are read: notes come up during a run."""

    def __init__(self, parts: Sequence[Sequence[str]]) -> None:
        self._parts = parts

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self._lines()[index]

    def __len__(self) -> int:
        return len(self._lines())

    def _lines(self) -> list[str]:
        return list(dict.fromkeys(line for part in self._parts for line in part))
