"""The energy `ensemble`: several reward models, and what they disagree about counts against an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Required

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import TypedDict

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
from sea_toolkit.registry.options import Number

FLAT = 1e-12
"""Smallest variance with a slope: the square root has none at 0, where all models agree."""


class Member(TypedDict, total=False):
    """One model of an ensemble, with options of the energy `reward`."""

    model: Required[str]
    reads: Reading
    output: str | int | dict[str, float]
    activation: Activation
    device: str
    dtype: DType
    batch: Annotated[int, Field(gt=0)]


class Ensemble(Energy):
    """−(mean − k · standard deviation) of the rewards of several models: high where all agree that an answer is good.

    What one model overrates, the others often do not: the spread is large there, and the answer gains less (Coste et
    al. 2024, arXiv 2310.02743, whose penalty is the variance). The models should have one unit, as those of one
    training with several seeds have. The spread is the root of the mean squared difference from the mean.

    Args:
        models: reward models as for the energy `reward`, each a name or a table with its `model`, `reads`, `output`,
            `activation`, `device`, `dtype` and `batch`.
        k: how many standard deviations are taken off; 0 is the mean.
    """

    label = "ensemble"

    def __init__(
        self,
        *,
        models: Annotated[list[str | Member], Field(min_length=2)],
        k: Annotated[Number, Field(ge=0)] = 1.0,
    ) -> None:
        tables: list[dict[str, Any]] = [{"model": m} if isinstance(m, str) else dict(m) for m in models]
        for i, table in enumerate(tables):
            if table in tables[:i]:
                raise RecipeError(f"the ensemble has {table['model']!r} twice", expected="each model once")
        self.members, self.k = [Reward(**table) for table in tables], k
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
            rewards = -torch.stack([energy.float() for energy in energies])
            spread = rewards.var(0, correction=0).clamp(min=FLAT).sqrt()
            return context.clock.value(self.k) * spread - rewards.mean(0)

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
