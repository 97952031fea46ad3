"""Which sampler a recipe takes that names none, and why. The rule follows what was measured on nine kinds of rewards
(docs/benchmarks.md)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sea_toolkit.runs.recipe import AUTO, POLICY_START, Recipe
from sea_toolkit.runs.requirements import TermFacts
from sea_toolkit.samplers.base import Sampler

POLICY_ALONE, BLIND, GUIDED, STEP_BY_STEP = "suffix-mh", "best-of-n", "smc", "tilted"

FEW = 16
"""Samples for each chain below which passes of many particles have no advantage over steps."""


@dataclass(frozen=True)
class Choice:
    """A sampler, and in words why it is the one."""

    sampler: str
    why: str


def choice(recipe: Recipe, terms: Sequence[TermFacts]) -> Choice | None:
    """The sampler of a recipe: the one it names, or the one that goes with its energy, its budget and its start.

    The reference alone, π^α, takes `suffix-mh`: its chains follow that law exactly, and the best of N answers would be
    the likeliest of them, whatever α is. Where no term tells which words to prefer, the policy draws whole answers,
    unless their beginnings tell enough.

    Args:
        recipe: as the run has it.
        terms: of its energy.

    Returns:
        None as long as it is not known whether some term has a gradient, and that decides.
    """
    if recipe.sampler.name != AUTO:
        return Choice(recipe.sampler.name, "the recipe names it")
    others = [term for term in terms if not term.is_policy]
    if not others:
        return Choice(POLICY_ALONE, "there is the reference alone")
    slopes = [term.label for term in others if term.has_gradient]
    if slopes:
        told = f"a gradient tells which words are preferred by {', '.join(slopes)}"
        stepwise = _why_in_steps(recipe, terms) or _why_few(recipe)
        return Choice(STEP_BY_STEP, f"{told}, and {stepwise}") if stepwise else Choice(GUIDED, told)
    if any(term.has_gradient is None for term in others):
        return None
    compasses = [term.label for term in others if term.has_compass]
    if compasses:
        return Choice(STEP_BY_STEP, f"a compass alone tells which words are preferred by {', '.join(compasses)}")
    blind = "no term besides the reference has a gradient or a compass"
    if all(term.tells_early for term in others) and not _why_in_steps(recipe, terms):
        early = ", ".join(term.label for term in others)
        return Choice(GUIDED, f"{blind}, and the beginning of an answer tells what it will be worth by {early}")
    return Choice(BLIND, blind)


def _why_in_steps(recipe: Recipe, terms: Sequence[TermFacts]) -> str:
    """Why the run has to go step by step; "" where few passes of many particles do."""
    moving = [term.label for term in terms if term.moves]
    if moving:
        return f"what {', '.join(moving)} counts is found or changes in the course of the run"
    if recipe.initializer.name != POLICY_START:
        return f"the run goes on from the texts of {recipe.initializer.name}"
    return "" if recipe.sampler.steps is None else "the recipe counts steps"


def _why_few(recipe: Recipe) -> str:
    """Why the budget is too small for passes of many particles; "" where it is not."""
    spec = recipe.sampler
    budget = spec.budget or Sampler.default_budget or math.inf
    each = budget / (spec.chains or 1)
    return f"{each:g} samples for each chain are few" if each < FEW else ""
