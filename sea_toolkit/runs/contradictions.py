"""What a recipe asks for and cannot have, or asks for twice with opposite signs: told before compute is spent."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from sea_toolkit.core.clock import Clock
from sea_toolkit.problem.outlook import Outlook
from sea_toolkit.registry.records import CORE
from sea_toolkit.runs.limit_specs import what_is_read
from sea_toolkit.runs.parts import Part
from sea_toolkit.runs.recipe import Recipe


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
    """Terms that count nothing, all along or at the end, where the texts are compared. Limits always decide."""
    end = Clock(step=0, progress=1.0)
    for part in (part for part in parts if part.limit is None):
        if part.weight.fixed == 0:
            scaled = "" if part.weight.scale == 1.0 else "; its scale has no effect"
            yield f"{part.label} has weight 0: it is computed and reported, and decides nothing{scaled}"
        elif part.weight.column is None and part.weight.at(end) == 0:
            yield f"{part.label} weighs 0 at the end of the run: the answer is chosen without it"


def _both_ways(told: Sequence[tuple[Part, Outlook]]) -> Iterator[str]:
    """Terms on the same reading that pull in opposite directions."""
    wanted = [(part, _direction(part, outlook)) for part, outlook in told if part.limit is None]
    for part, direction in wanted:
        for other, _ in told:
            if other.limit is None or _reads(part) != _reads(other):
                continue
            if direction > 0 and other.limit.high is not None:
                yield f"{part.label} is pushed up, and the limit {other.label!r} ends above"
            if direction < 0 and other.limit.low is not None:
                yield f"{part.label} is pushed down, and the limit {other.label!r} ends below"
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
    if not holds and any(part.limit is None for part in parts):
        yield "there is no reference: nothing holds the text to what the policy would write"


def _reads(part: Part) -> str:
    """What tells whether two terms read the same number."""
    return what_is_read(part.qualified, part.options)
