"""What a sweep trades off: terms of the energy, each in a unit in which they can be compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sea_toolkit.core.clock import Clock
from sea_toolkit.errors import RecipeError, did_you_mean
from sea_toolkit.evaluation.front_geometry import Points
from sea_toolkit.evaluation.weight_designs import Weights
from sea_toolkit.problem.base_scale import base_scale
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.parts import OwnEnergies, Part
from sea_toolkit.runs.recipe import Recipe

LOW = 0.1
"""Quantile of the policy's own answers at which the reference point of the hypervolume lies, in each objective."""

Terms = Mapping[str, float]
"""Label → unweighted term of a text."""


@dataclass(frozen=True)
class Wanted:
    """An objective as it is asked for.

    Attributes:
        label: of the term.
        sign: of its weight in the recipe: 1 where the term is to be low, and thus a reward high; else −1.
        place: in the recipe's list of energies; None for a term given in Python.
        scale: the unit that the recipe sets, or None where it is measured.
    """

    label: str
    sign: int
    place: int | None
    scale: float | None = None

    @property
    def column(self) -> str:
        """The column of the sweep's table that holds its weights."""
        return f"weight of {self.label} in the sweep"


@dataclass(frozen=True)
class Objective:
    """A term with its unit. `z` counts units above the reference point, in the direction that is wanted.

    Attributes:
        label: of the term.
        sign: see `Wanted`.
        is_reward: the term is shown with the other sign, as its reward model gives it.
        unit: of what is shown: the standard deviation of the policy's own answers to a prompt, see `BaseScale`, or the
            recipe's scale.
        reference: what is shown at the reference point.
    """

    label: str
    sign: int
    is_reward: bool
    unit: float
    reference: float

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher number, as it is shown, is wanted."""
        return (self.sign > 0) == self.is_reward

    def shown(self, term: float) -> float:
        """The term as people read it."""
        return -term if self.is_reward else term

    def z(self, term: float) -> float:
        """Units above the reference point."""
        return self.z_of_shown(self.shown(term))

    def z_of_shown(self, value: float) -> float:
        """The same, of what is shown."""
        return (1 if self.higher_is_better else -1) * (value - self.reference) / self.unit

    def weight(self, share: float, strength: float) -> float:
        """The weight of the term for a share of the weights: `strength` nats for each unit, times the share."""
        return self.sign * share * strength / self.unit

    def to_dict(self) -> dict[str, Any]:
        """For the report."""
        better = "higher" if self.higher_is_better else "lower"
        return {"label": self.label, "better": better, "unit": self.unit, "reference": self.reference}


def points_of(objectives: Sequence[Objective], texts: Iterable[Terms]) -> Points:
    """`[n, K]`: each text by each objective, in units above the reference point; −inf where a term is infinite."""
    rows = [[o.z(terms[o.label]) for o in objectives] for terms in texts]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(objectives))


def wanted_objectives(composition: Composition, labels: Sequence[str]) -> list[Wanted]:
    """The terms that are traded off.

    Args:
        composition: of the recipe.
        labels: which; all rewards and energies with a weight where there are none: −log π, limits, and terms of weight
            0 are left out.

    Raises:
        RecipeError: an unknown label, one that is there twice, a limit, a weight that is 0 or comes from a column, or
            fewer than two objectives.
    """
    parts = {part.label: (i, part) for i, part in enumerate(composition.parts)}
    for i, label in enumerate(labels):
        if label not in parts:
            raise RecipeError(f"there is no term {label!r}", hint=did_you_mean(label, parts))
        if label in labels[:i]:
            raise RecipeError(f"the objective {label!r} is there twice", expected="each once")
    chosen = [parts[label] for label in labels] or [
        (i, part) for i, part in parts.values() if not part.is_reference and part.limit is None and _weight(part)
    ]
    if len(chosen) < 2:
        there = ", ".join(part.label for _, part in chosen) or "none"
        raise RecipeError(
            f"fewer than two objectives: {there}",
            expected="two terms at least: rewards, energies, or the reference if it is named (--objective reference)",
            hint="--reward sentiment --energy length,target=20",
        )
    return [_wanted(i, part, composition.recipe) for i, part in chosen]


def _wanted(place: int, part: Part, recipe: Recipe) -> Wanted:
    if part.limit is not None:
        raise RecipeError(
            f"the objective {part.label!r} is a limit", expected="a reward or an energy: a limit holds for all weights"
        )
    weight = _weight(part)
    if not weight:
        raise RecipeError(
            f"the objective {part.label!r} has the weight 0",
            expected="a number above 0, or below where the other direction is wanted; its size is the sweep's affair",
        )
    own_unit = part.measure.scale is not None and part.measure.scale == 1.0
    scale = None if own_unit else part.weight.scale
    return Wanted(part.label, 1 if weight > 0 else -1, place if place < len(recipe.energies) else None, scale)


def _weight(part: Part) -> float:
    if part.weight.column is not None:
        raise RecipeError(
            f"the weight of {part.label!r} comes from the column {part.weight.column!r}",
            expected="a number: the sweep gives each prompt all of its weights",
        )
    if part.weight.maximin is not None:
        raise RecipeError(
            f"the weight of {part.label!r} is spread by maximin ({part.weight.maximin!r})",
            expected="a number: the sweep gives each prompt all of its weights",
        )
    return part.weight.at(Clock(progress=1.0))


def measured(wanted: Sequence[Wanted], answers: Sequence[Sequence[Terms]], rewards: Iterable[str]) -> list[Objective]:
    """The objectives with their units and reference points.

    Args:
        wanted: the terms.
        answers: for each prompt the unweighted terms of the policy's own answers.
        rewards: labels of the terms that are rewards.

    Raises:
        RecipeError: a term is the same for all answers to each prompt.
    """
    rewarding, objectives = set(rewards), []
    longest = max(map(len, answers))
    for one in wanted:
        is_reward = one.label in rewarding
        rows = [[-t[one.label] if is_reward else t[one.label] for t in texts] for texts in answers]
        values = torch.tensor([[*row, *[math.nan] * (longest - len(row))] for row in rows])
        scale = base_scale(values)
        if one.scale is None and not scale.deviation:
            raise RecipeError(
                f"the objective {one.label!r} is the same for all answers of the policy to a prompt ({scale.texts} "
                f"answers to {len(answers)} prompts)",
                expected="a term that tells answers apart: without that it has no unit, and nothing to trade off",
                hint="other prompts, or a longer --max-new-tokens",
            )
        higher = (one.sign > 0) == is_reward
        finite = values[values.isfinite()].double().numpy()
        reference = float(np.quantile(finite, LOW if higher else 1 - LOW))
        objectives.append(Objective(one.label, one.sign, is_reward, one.scale or scale.deviation, reference))
    return objectives


def swept(base: Recipe, own: OwnEnergies, wanted: Sequence[Wanted]) -> tuple[Recipe, OwnEnergies]:
    """The recipe and the terms given in Python, with the weight of each objective from a column of its own."""
    data, terms = base.model_dump(exclude_unset=True), dict(own)
    for one in wanted:
        weight = {"column": one.column}
        if one.place is None:
            before, energy = terms[one.label]
            kept = {"active": before["active"]} if isinstance(before, Mapping) and "active" in before else {}
            terms[one.label] = ({"weight": weight, **kept}, energy)
        else:
            spec = data["energies"][one.place]
            data["energies"][one.place] = {k: v for k, v in spec.items() if k not in ("scale", "want")} | {
                "weight": weight
            }
    return Recipe.parse(data), terms


def cells(wanted: Sequence[Wanted], objectives: Sequence[Objective], vector: Weights, strength: float) -> Terms:
    """The columns of one row of the sweep's table."""
    return {w.column: o.weight(share, strength) for w, o, share in zip(wanted, objectives, vector, strict=True)}
