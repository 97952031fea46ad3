"""A recipe whose models are shared out over processes: all of them join before the run begins."""

from __future__ import annotations

from typing import Any

from sea_toolkit.core.ranks import join, launched
from sea_toolkit.errors import RecipeError
from sea_toolkit.models.tensor_parallel import KEY, refuse_size
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.util import ranks

ONE = "this is done by one process"


def join_for(recipe: Recipe) -> None:
    """Join the processes that torchrun has started, if a model of the recipe is shared out over them.

    Raises:
        RecipeError: it is not shared out over as many as there are, or several processes would each do all of the run.
        ModelError: they do not find each other.
    """
    asked = sizes(recipe)
    if asked and ranks.size() == 1 and launched() > 1:
        join()
    for whose, size in asked.items():
        refuse_size(size, whose)
    if ranks.size() > 1 and not asked:
        raise RecipeError(
            f"{ranks.size()} processes do this run, and none of its models is shared out over them",
            expected=f"a {KEY}, or one process",
            hint=f"--set policy.{KEY}={ranks.size()}",
        )


def refuse_shared(recipe: Recipe, what: str) -> None:
    """Raises: RecipeError if a model of the recipe is shared out over processes, and what is asked is done by one."""
    for whose, size in sizes(recipe).items():
        raise RecipeError(
            f"{KEY} of {whose} is {size}, and {what}",
            expected="align or resume, of prompts that are answered together",
            hint='policy.device_map = "auto" spreads a policy over the devices of one process',
        )


def sizes(recipe: Recipe) -> dict[str, int]:
    """Which models of a recipe are shared out: policy or place of the term → over how many processes."""
    data: dict[str, Any] = recipe.model_dump(include={"policy", "energies", "constraints"})
    found: dict[str, int] = {}
    for place, value in data.items():
        _look(value, place, found)
    return found


def _look(value: Any, place: str, found: dict[str, int]) -> None:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        if key == KEY and isinstance(inner, int) and inner > 1:
            found[place] = inner
        _look(inner, f"{place}.{key}", found)
