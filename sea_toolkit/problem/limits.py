"""Limits on what an energy reads: from what to what, how far outside a text is, and limits that exclude each other."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.errors import RecipeError, shortened
from sea_toolkit.problem.columns import Columns, number_in

Method = Literal["multiplier", "hinge"]
"""How a limit acts on the energy that a sampler follows: by a multiplier that the run finds, or by a fixed weight."""

End: TypeAlias = float | str | None
"""One end of a limit: a number, the column of the prompts' table that has one for each prompt, or none."""

SMALLEST = torch.finfo(torch.float32).min


@dataclass(frozen=True)
class Limit:
    """What a recipe allows a reading to be, before the prompts are known.

    Attributes:
        low: smallest allowed reading.
        high: largest allowed reading.
        method: how it acts on the energy.
    """

    low: End
    high: End
    method: Method = "multiplier"

    @property
    def columns(self) -> Columns:
        """What it reads of the prompts' table."""
        return Columns(needed=tuple(end for end in (self.low, self.high) if isinstance(end, str)))

    def for_prompts(self, prompts: Sequence[str], where: str, *, is_reward: bool) -> PromptLimits:
        """The limit of each prompt.

        Args:
            prompts: of the run.
            where: whose limit it is, for messages.
            is_reward: the energy is the negative of what is limited.

        Raises:
            RecipeError: a prompt has no such column, a cell that is not a finite number, or a smallest reading above
                the largest one.
        """
        lows, highs = (_cells(end, prompts, where) for end in (self.low, self.high))
        for i, (low, high) in enumerate(zip(lows or (), highs or (), strict=False), 1):
            if low > high:
                raise RecipeError(f"the limit of {where} for prompt {i}: min = {low:g} is above max = {high:g}")
        return PromptLimits(lows, highs, self.method, -1.0 if is_reward else 1.0)


@dataclass(frozen=True)
class PromptLimits:
    """A limit with a number for each prompt.

    The reading is the reward where the energy is the negative of one, else the energy.

    Attributes:
        lows: smallest allowed reading of each prompt, or None.
        highs: largest allowed reading of each prompt, or None.
        method: how it acts on the energy.
        sign: from the energy to the reading.
    """

    lows: tuple[float, ...] | None
    highs: tuple[float, ...] | None
    method: Method
    sign: float

    @property
    def slopes(self) -> list[float]:
        """What one unit more of the energy adds to the excess over each end: 1 or −1."""
        ends = ((self.highs, self.sign), (self.lows, -self.sign))
        return [slope for numbers, slope in ends if numbers is not None]

    def excesses(self, value: Float[Tensor, "P n"]) -> Float[Tensor, "P n E"]:
        """How far the readings lie beyond each end (the largest reading, then the smallest), in their own unit; 0 and
        less where they are on its right side.

        Args:
            value: the unweighted energies.
        """
        reading, ends = self.sign * value.float(), []
        if self.highs is not None:
            ends.append(reading - _per_prompt(self.highs, reading))
        if self.lows is not None:
            ends.append(_per_prompt(self.lows, reading) - reading)
        return torch.stack(ends, -1).clamp(min=SMALLEST)

    def excess(self, value: Float[Tensor, "P n"]) -> Float[Tensor, "P n"]:
        """How far the readings lie outside; 0 and less inside."""
        return self.excesses(value).amax(-1)

    def steered_by(self, value: Float[Tensor, "P n"]) -> Float[Tensor, "P n"]:
        """What a sampler that reads one direction per term reads it of: of a hinge what is outside, else the energy."""
        return self.excess(value).clamp(min=0.0) if self.method == "hinge" else value

    def ends(self, prompt: int) -> dict[str, float]:
        """`min` and `max` of a prompt, those that there are."""
        pairs = (("min", self.lows), ("max", self.highs))
        return {name: numbers[prompt] for name, numbers in pairs if numbers is not None}

    def words(self, prompt: int) -> str:
        """Such as `max = -2`."""
        return " and ".join(f"{name} = {number:g}" for name, number in self.ends(prompt).items())

    def unmet(self, prompt: int, value: float) -> str:
        """How far outside an energy of that value is, in words; "" inside."""
        reading, ends = self.sign * value, self.ends(prompt)
        for name, over in (("max", reading - ends.get("max", reading)), ("min", ends.get("min", reading) - reading)):
            if over > 0:
                return f"{reading:.4g} is {over:.3g} {'above' if name == 'max' else 'below'} {name} = {ends[name]:g}"
        return ""


def _per_prompt(numbers: Sequence[float], like: Tensor) -> Float[Tensor, "P 1"]:
    return torch.tensor(numbers, dtype=torch.float32, device=like.device)[:, None]


def _cells(end: End, prompts: Sequence[str], where: str) -> tuple[float, ...] | None:
    if not isinstance(end, str):
        return None if end is None else (end,) * len(prompts)
    return tuple(number_in(end, prompt, i, f"the limit of {where}") for i, prompt in enumerate(prompts, 1))


@dataclass(frozen=True)
class Named:
    """A limit with the name of its term, and what it reads: the energy and its options."""

    label: str
    reads: Hashable
    limit: Limit


def refuse_disjoint(limits: Sequence[Named], prompts: Sequence[str] | None = None) -> None:
    """Refuse limits on one reading that no number satisfies together.

    Args:
        limits: of the recipe.
        prompts: of the run; None as long as they are not known, and then ends in columns are left out.

    Raises:
        RecipeError: there are such limits.
    """
    for reads in dict.fromkeys(named.reads for named in limits):
        same = [named for named in limits if named.reads == reads]
        for i, prompt in enumerate([""] if prompts is None else prompts, 1):
            lows: list[tuple[float, str]] = []
            highs: list[tuple[float, str]] = []
            for named in same:
                for end, found in ((named.limit.low, lows), (named.limit.high, highs)):
                    if isinstance(end, str) and prompts is not None:
                        found.append((number_in(end, prompt, i, f"the limit of {named.label!r}"), named.label))
                    elif end is not None and not isinstance(end, str):
                        found.append((end, named.label))
            if lows and highs and max(lows)[0] > min(highs)[0]:
                (low, above), (high, below) = max(lows), min(highs)
                where = "" if prompts is None else f" for prompt {i} ({shortened(repr(str(prompt)), 40)})"
                raise RecipeError(
                    f"the limits {above!r} (min = {low:g}) and {below!r} (max = {high:g}) exclude each other{where}",
                    expected="limits on one reading that some number keeps",
                    hint="drop one of them, or move an end",
                )
