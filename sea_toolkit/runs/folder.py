"""The folder of a run: claimed by one process, with what a resumed run needs to begin again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sea_toolkit.errors import SeaError
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.util import run_files
from sea_toolkit.util.conversation import Prompt, as_prompts
from sea_toolkit.util.locks import hold


@dataclass(frozen=True)
class SavedRun:
    """What a run was asked for.

    Attributes:
        recipe: names and numbers.
        prompts: P prompts.
        own_terms: labels of the terms that were given in Python, and have to be given again.
        checkpoint_every: steps between checkpoints.
    """

    recipe: Recipe
    prompts: Sequence[Prompt]
    own_terms: Sequence[str]
    checkpoint_every: int

    def write(self, folder: Path) -> None:
        """Save it to a run's folder.

        Raises:
            SeaError: the folder cannot be written.
        """
        data = {
            "recipe": self.recipe.model_dump(mode="json", exclude_none=True),
            "prompts": [prompt.to_data() for prompt in self.prompts],
            "own_terms": sorted(self.own_terms),
            "checkpoint_every": self.checkpoint_every,
        }
        run_files.write_json(folder / run_files.RECIPE, data)

    @classmethod
    def read(cls, folder: Path) -> SavedRun:
        """Read it from a run's folder.

        Raises:
            SeaError: not the folder of a run, or damaged.
        """
        path = folder / run_files.RECIPE
        saved = run_files.read_json(path)
        try:
            recipe, prompts = Recipe.parse(saved["recipe"], where=str(path)), as_prompts(saved["prompts"])
            return cls(recipe, prompts, list(saved["own_terms"]), int(saved["checkpoint_every"]))
        except (KeyError, TypeError, ValueError) as error:
            raise SeaError(f"{path} is damaged: {error}", expected="the recipe.json of a run") from error


@contextmanager
def new_folder(folder: Path | None) -> Iterator[None]:
    """Make the folder of a new run, and lock it as long as the run lasts.

    Args:
        folder: of the run; None for a run without files.

    Raises:
        SeaError: it holds a run already, is in use by another process, or cannot be written.
    """
    if folder is None:
        yield
        return
    with held_folder(folder):
        if (folder / run_files.RECIPE).exists():
            raise SeaError(f"{folder} holds a run already", hint=f"another --out, or sea-toolkit resume {folder}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError(13, "not writable")
        except OSError as error:
            raise SeaError(f"cannot use {folder} for a run: {error.strerror or error}", hint="another --out") from error
        yield


@contextmanager
def held_folder(folder: Path) -> Iterator[None]:
    """Lock a run's folder.

    Raises:
        SeaError: another process works in it, or its parent cannot be written.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(hold(folder, f"the run in {folder}"))
        except OSError as error:
            raise SeaError(f"cannot use {folder} for a run: {error.strerror or error}", hint="another --out") from error
        yield
