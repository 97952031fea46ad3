"""What a recipe asks for and cannot have, or asks for twice with opposite signs: told before compute is spent."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence

from sea_toolkit.core.clock import Clock
from sea_toolkit.errors import RecipeError
from sea_toolkit.problem.outlook import Outlook
from sea_toolkit.registry.records import CORE
from sea_toolkit.runs.parts import Part
from sea_toolkit.runs.recipe import Recipe


def refuse_exclusive_limits(parts: Sequence[Part]) -> None:
    """Refuse limits on one reading that no text can keep.

    Raises:
        RecipeError: two constraints on the same energy exclude each other.
    """
    limited = [part for part in parts if part.limits is not None]
    for one, other in itertools.permutations(limited, 2):
        (low, _), (_, high) = one.limits or (None, None), other.limits or (None, None)
        if low is not None and high is not None and low > high and _reads(one) == _reads(other):
            raise RecipeError(
                f"{one.label!r} wants at least {low:g}, and {other.label!r} at most {high:g} of the same: no answer "
                "keeps both limits",
                expected="a min that is not above the max",
            )


def contradictions(recipe: Recipe, parts: Sequence[Part], outlooks: Sequence[Outlook]) -> list[str]:
    """What works against itself, or does nothing: a sentence each.

    Args:
        recipe: as it was composed.
        parts: its terms.
        outlooks: of the parts, in their order.
    """
    told = list(zip(parts, outlooks, strict=True))
    return [*_weightless(parts), *_both_ways(told), *_out_of_reach(recipe, parts), *_unheld(parts)]


def _weightless(parts: Sequence[Part]) -> Iterator[str]:
    """Terms that count nothing, all along or at the end, where the texts are compared."""
    end = Clock(step=0, progress=1.0)
    for part in parts:
        if part.weight.fixed == 0:
            yield f"{part.label} has weight 0: it is computed and reported, and decides nothing"
        elif part.weight.column is None and part.weight.at(end) == 0:
            yield f"{part.label} weighs 0 at the end of the run: the answer is chosen without it"


def _both_ways(told: Sequence[tuple[Part, Outlook]]) -> Iterator[str]:
    """Terms on the same reading that pull in opposite directions."""
    wanted = [(part, _direction(part, outlook)) for part, outlook in told if part.limits is None]
    for part, direction in wanted:
        for other, _ in told:
            low, high = other.limits or (None, None)
            if _reads(part) != _reads(other) or other.limits is None:
                continue
            if direction > 0 and high is not None:
                yield f"{part.label} is pushed up, and {other.label!r} holds the same at {high:g} or below"
            if direction < 0 and low is not None:
                yield f"{part.label} is pushed down, and {other.label!r} holds the same at {low:g} or above"
    for (one, up), (other, down) in itertools.combinations(wanted, 2):
        if up * down < 0 and _reads(one) == _reads(other):
            yield f"{one.label} and {other.label} are the same with opposite signs: they cancel"


def _direction(part: Part, outlook: Outlook) -> int:
    """Where a term's weight pushes its reading: 1 up, −1 down, 0 where that is not fixed."""
    weight = part.weight.fixed or 0.0
    return ((weight > 0) - (weight < 0)) * (1 if outlook.is_reward else -1)


def _out_of_reach(recipe: Recipe, parts: Sequence[Part]) -> Iterator[str]:
    """Lengths that no answer of the run has."""
    for part in parts:
        target = part.options.get("target")
        if part.qualified == f"{CORE}:length" and isinstance(target, float | int) and target > recipe.max_new_tokens:
            yield (
                f"{part.label} wants {target:g} tokens, and max_new_tokens is {recipe.max_new_tokens}: every answer is "
                "pushed to be as long as it can"
            )


def _unheld(parts: Sequence[Part]) -> Iterator[str]:
    """Rewards without the term that holds the text to what the policy would write."""
    holds = [part for part in parts if part.is_reference and part.weight.fixed != 0]
    if not holds and any(part.limits is None for part in parts):
        yield "there is no reference: nothing holds the text to what the policy would write"


def _reads(part: Part) -> str:
    """What tells whether two terms read the same number."""
    return f"{part.qualified} {json.dumps(dict(part.options), sort_keys=True, default=str)}"
