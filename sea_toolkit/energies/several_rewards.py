"""What `ensemble` and `worst-of` share: several reward models, of whose rewards one number is made."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Required

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from typing_extensions import TypedDict

from sea_toolkit.core.clock import Clock
from sea_toolkit.energies.reward import Reward
from sea_toolkit.errors import RecipeError
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.policy_spec import DType
from sea_toolkit.problem.combined import Lines, has_gradient, of_responses, of_texts
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy, Energy
from sea_toolkit.problem.outlook import Foresight, Outlook, merged
from sea_toolkit.readers.output_choice import Activation
from sea_toolkit.readers.shown_text import Reading


class Member(TypedDict, total=False):
    """One reward model of several, with options of the energy `reward`."""

    model: Required[str]
    reads: Reading
    output: str | int | dict[str, float]
    activation: Activation
    device: str
    dtype: DType
    tensor_parallel_size: Annotated[int, Field(gt=0)]
    batch: Annotated[int, Field(gt=0)]


class SeveralRewards(Energy):
    """An energy of the rewards of several models.

    Args:
        models: options of `reward` for each.

    Raises:
        RecipeError: one is there twice.
    """

    label: str

    def __init__(self, models: Sequence[Mapping[str, Any]]) -> None:
        for i, table in enumerate(models):
            if table in models[:i]:
                raise RecipeError(f"{self.label} has {table['model']!r} twice", expected="each model once")
        self.members = [Reward(**table) for table in models]
        self.reward_model = [member.model for member in self.members]

    def check(self, finder: ModelFinder, tokenizer: Any) -> None:
        """Find all models, before any weights are read.

        Raises:
            ModelError: see `Reward.check`.
        """
        for member in self.members:
            member.check(finder, tokenizer)

    def outlook(self, foresight: Foresight) -> Outlook:
        """All models; the gradient needs that of each."""
        return merged([member.outlook(foresight) for member in self.members])

    @abstractmethod
    def reward(self, rewards: Float[Tensor, "M *shape"], clock: Clock) -> Float[Tensor, "*shape"]:
        """One reward of those of the M models."""

    def bind(self, context: Context) -> BoundEnergy:
        """Load all models.

        Raises:
            ModelError, RecipeError: see `Reward.bind`.
        """
        bound = [member.bind(context) for member in self.members]
        lines = Lines([each.warnings for each in bound])
        prints = [each.fingerprint or "" for each in bound]
        shared: dict[str, Any] = {"is_reward": True, "warnings": lines, "fingerprint": " ".join(prints)}

        def combined(energies: Sequence[Tensor]) -> Tensor:
            return -self.reward(-torch.stack([energy.float() for energy in energies]), context.clock)

        if all(each.energy is None for each in bound):
            return BoundEnergy(
                score_text=lambda prompts, texts: combined([of_texts(each, prompts, texts) for each in bound]),
                **shared,
            )
        of_each = [of_responses(each, context) for each in bound]
        return BoundEnergy(
            energy=lambda response: combined([energy(response) for energy in of_each]),
            has_gradient=all(map(has_gradient, bound)),
            **shared,
        )
