"""What an energy tells of itself before any weights are read: the road of its gradient, and the models it will run."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sea_toolkit.core.meter import parameters_used
from sea_toolkit.lm.devices import Placement
from sea_toolkit.lm.fingerprint import same_vocabulary
from sea_toolkit.lm.truncate import count_layers, first_blocks
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.reading import Role
from sea_toolkit.models.skeleton import megabytes, skeleton

Road = Literal["direct", "policy", "own tokens", "bridge", "words", "none", "unknown"]
ROADS: dict[Road, str] = {
    "direct": "computed without a model",
    "policy": "through the policy itself",
    "own tokens": "through its model, which reads the policy's tokens",
    "bridge": "through a bridge: its model has other tokens than the policy",
    "words": "from the scores of single words, if `sea-toolkit bridge` has measured them",
    "none": "none: it only scores text",
    "unknown": "known when it is bound",
}
"""How a gradient comes, in words."""


@dataclass(frozen=True)
class ModelOutlook:
    """A model that an energy will run beside the policy, or a part of the policy.

    Attributes:
        name: in the ledger.
        key: energies with the same one share its weights and its passes.
        parameters: that a token is multiplied with.
        megabytes: of its weights; 0 for a part of the policy.
        place: where it will be.
        skeleton: the model without its weights.
        more: tokens that it reads beside each answer.
    """

    name: str
    key: Hashable
    parameters: int
    megabytes: float
    place: Placement
    skeleton: Any
    more: int = 0


@dataclass(frozen=True)
class Outlook:
    """What an energy tells ahead.

    Attributes:
        road: of its gradient.
        models: that it will run; None: that is not known.
        is_reward: higher is better.
    """

    road: Road
    models: Sequence[ModelOutlook] | None = ()
    is_reward: bool = True

    @property
    def has_gradient(self) -> bool | None:
        """Whether there is a gradient, as far as is known."""
        return None if self.road == "unknown" else self.road != "none"


@dataclass(frozen=True)
class Foresight:
    """What there is to look at before any weights are read.

    Attributes:
        finder: from names to models.
        tokenizer: the policy's.
        name: of the policy.
        policy: its skeleton.
        source: where the policy is to be loaded from.
        place: of the policy.
    """

    finder: ModelFinder
    tokenizer: Any
    name: str
    policy: Any
    source: Path | str
    place: Placement

    def part_of_policy(self, name: str, layers: int | None) -> ModelOutlook:
        """The policy's first blocks.

        Args:
            name: in the ledger.
            layers: how many; None for half of them.
        """
        depth = max(1, count_layers(self.policy) // 2) if layers is None else layers
        part = first_blocks(self.policy, depth)
        return ModelOutlook(name, ("policy", depth), parameters_used(part), 0.0, self.place, part)

    def model(
        self,
        role: Role,
        source: Path | str,
        name: str,
        ledger_name: str,
        *,
        device: str | None = None,
        dtype: str | None = None,
        layers: int | None = None,
        more: int = 0,
    ) -> ModelOutlook:
        """A model of its own.

        Args:
            role: see `read_model`.
            source: where it is to be loaded from.
            name: for messages.
            ledger_name: in the ledger.
            device: where it runs; None: where the policy does.
            dtype: of its weights; None: see `Placement.beside`.
            layers: how many of its blocks run; None for all of them.
            more: tokens that it reads beside each answer.

        Raises:
            ModelError: its config tells no size.
            RecipeError: no such device.
        """
        place = Placement.beside(self.place, device, dtype)
        whole = skeleton(role, source, name, self.finder)
        part = whole if layers is None else first_blocks(whole, layers)
        return ModelOutlook(
            ledger_name, (role, source, layers), parameters_used(part), megabytes(whole, place.dtype), place, part, more
        )

    def road(self, tokenizer: Any) -> Road:
        """By which road a model with this tokenizer gives a gradient."""
        return "own tokens" if same_vocabulary(tokenizer, self.tokenizer) else "bridge"


_TOLD_FIRST: tuple[Road, ...] = ("none", "unknown", "words", "bridge", "own tokens", "policy", "direct")
"""Roads, the one that says most of a mixture first."""


def merged(several: Sequence[Outlook]) -> Outlook:
    """What several energies tell of themselves as one, whose gradient needs that of each."""
    told = [one.models for one in several]
    models = None if None in told else [model for some in told for model in some or ()]
    return Outlook(min((one.road for one in several), key=_TOLD_FIRST.index), models, is_reward=several[0].is_reward)
