"""Many prompts, a few at a time: memory is that of one batch, and each prompt has the stream that it has among all."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from sea_toolkit.errors import RecipeError
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.runs.result import Interrupted, Result
from sea_toolkit.util.conversation import Prompt, times_before


def check_count(name: str, value: int) -> None:
    """Raises: RecipeError if an argument is no whole number above 0."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise RecipeError(f"{name} = {value!r}", expected="a whole number above 0")


def in_batches(prompts: Sequence[Prompt], batch: int | None) -> list[Sequence[Prompt]]:
    """The prompts in their order, at most `batch` together; all of them if it is None.

    Raises:
        RecipeError: it is no number above 0.
    """
    if batch is not None:
        check_count("batch", batch)
    size = batch or max(1, len(prompts))
    return [prompts[i : i + size] for i in range(0, max(1, len(prompts)), size)]


def refuse_in_batches(recipe: Recipe, folder: Path | None, batches: int) -> None:
    """Refuse what belongs to one run.

    Raises:
        RecipeError: a folder, or a list of drafts.
    """
    if folder is not None:
        raise RecipeError(
            f"{folder} would hold one run, and {batches} batches are {batches} runs",
            expected="one batch, or no folder",
            hint="sea-toolkit align --prompts FILE --batch N --out DIR keeps many runs in one folder",
        )
    refuse_several(recipe, batches)


def refuse_several(recipe: Recipe, batches: int) -> None:
    """Raises: RecipeError if the recipe has something for one run alone, and there are several: a list of drafts."""
    if batches < 2:
        return
    if isinstance(recipe.initializer.options.get("text"), list):
        raise RecipeError(f"a list of texts to begin with, and {batches} batches", expected="one batch, or one text")


def run_batches(
    batches: Sequence[Sequence[Prompt]], run: Callable[[Sequence[Prompt], Sequence[int]], list[Result]]
) -> list[Result]:
    """The results of all batches.

    Args:
        batches: of prompts.
        run: `run(prompts, occurrences)`, with how often each was given before, in earlier batches too.

    Raises:
        Interrupted: with the results so far, those of the batch in flight included.
    """
    results: list[Result] = []
    counts = iter(times_before(prompt for batch in batches for prompt in batch))
    for batch in batches:
        try:
            results += run(batch, list(itertools.islice(counts, len(batch))))
        except Interrupted as stop:
            raise Interrupted([*results, *stop.results], str(stop)) from stop
        except KeyboardInterrupt as stop:  # before the first answer of this batch
            if not results:
                raise
            raise Interrupted(results) from stop
    return results
