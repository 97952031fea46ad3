"""The plan for a composition, which no model is loaded for."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from sea_toolkit.errors import RecipeError
from sea_toolkit.runs.batches import check_count, refuse_several
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.manifest import versions
from sea_toolkit.shards.plan import Plan


def make_plan(
    composition: Composition,
    prompts: int,
    sha256: str,
    batch: int,
    *,
    checkpoint_every: int,
    explains: bool,
    threads: int,
    skipped: Sequence[str] = (),
) -> Plan:
    """The plan of a composition; no model is loaded.

    Args:
        composition: of the recipe.
        prompts: how many there are.
        sha256: of `prompts.jsonl`.
        batch, checkpoint_every, explains, threads, skipped: see `Plan`.

    Raises:
        RecipeError: `batch` is no number above 0, or the recipe needs all prompts in one run.
    """
    check_count("batch", batch)
    check_count("checkpoint_every", checkpoint_every)
    recipe = composition.recipe
    refuse_several(recipe, -(-prompts // batch))
    for part in composition.parts:
        if part.weight.scale is None:
            raise RecipeError(
                f'the scale of {part.label!r} is "base-std", which each shard would measure for itself',
                expected="one scale for all prompts",
                hint="sea-toolkit calibrate RECIPE PROMPTS writes the number into the recipe",
            )
    if recipe.policy.date is None:  # templates read the day: all shards read the one on which the first began
        day = recipe.policy.model_copy(update={"date": datetime.date.today().isoformat()})
        recipe = recipe.model_copy(update={"policy": day})
    return Plan(
        recipe, prompts, sha256, batch, checkpoint_every, explains, threads, versions(composition), list(skipped)
    )
