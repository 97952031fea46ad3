"""The folder of a run: claimed by one process, with what a resumed run needs to begin again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sea_toolkit.errors import RecipeError, SeaError
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.util import ranks, run_files
from sea_toolkit.util.conversation import Prompt, as_prompts
from sea_toolkit.util.files import SCRATCH
from sea_toolkit.util.locks import hold


@dataclass(frozen=True)
class SavedRun:
    """What a run was asked for.

    Attributes:
        recipe: names and numbers.
        prompts: P prompts, with the columns that the energies read.
        own_terms: label → weight of the terms that were given in Python, and have to be given again.
        checkpoint_every: steps between checkpoints.
        explains: at its end the run tells what each token of an answer is worth.
        occurrences: how often each prompt was given before, which decides on its random stream; None: as often as it
            stands further ahead in `prompts`.
    """

    recipe: Recipe
    prompts: Sequence[Prompt]
    own_terms: Mapping[str, Any]
    checkpoint_every: int
    explains: bool = False
    occurrences: Sequence[int] | None = None

    def write(self, folder: Path) -> None:
        """Save it to a run's folder.

        Raises:
            SeaError: the folder cannot be written.
            RecipeError: the columns of the prompts are no plain data.
        """
        rows = [dict(prompt.columns) for prompt in self.prompts]
        try:
            json.dumps(rows, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise RecipeError(
                f"the columns of the prompts are no plain data: {error}",
                expected="texts, numbers, lists and tables, which the folder of a run can keep",
            ) from error
        data = {
            "recipe": self.recipe.model_dump(mode="json", exclude_none=True),
            "prompts": [prompt.to_data() for prompt in self.prompts],
            **({"columns": rows} if any(rows) else {}),
            "own_terms": dict(sorted(self.own_terms.items())),
            "checkpoint_every": self.checkpoint_every,
            "explains": self.explains,
            **({} if self.occurrences is None else {"occurrences": list(self.occurrences)}),
        }
        run_files.write_sealed(folder / run_files.RECIPE, data)

    @property
    def digest(self) -> str:
        """What ties the files of the run together; see `request_digest`."""
        return request_digest(self.recipe, self.prompts)

    @classmethod
    def read(cls, folder: Path) -> SavedRun:
        """Read it from a run's folder.

        Raises:
            SeaError: not the folder of a run, damaged or edited.
        """
        path = folder / run_files.RECIPE
        longer = shlex.join(["sea-toolkit", "resume", str(folder), "--steps", "N"])
        saved = run_files.read_sealed(path, f"bring the file back; to go on for longer: {longer} (or --budget N)")
        try:
            recipe, prompts = Recipe.parse(saved["recipe"], where=str(path)), as_prompts(saved["prompts"])
            rows = saved.get("columns", [{}] * len(prompts))
            prompts = [prompt.with_columns(row) for prompt, row in zip(prompts, rows, strict=True)]
            return cls(
                recipe,
                prompts,
                dict(saved["own_terms"]),
                int(saved["checkpoint_every"]),
                bool(saved["explains"]),
                saved.get("occurrences"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SeaError(f"{path} is of another version: {error}", expected="the recipe.json of a run") from error


def request_digest(recipe: Recipe, prompts: Sequence[str]) -> str:
    """SHA-256 of what a run is asked for: recipe, prompts and the columns that energies read. The date that a chat
    template reads is left out: a run learns it when its policy is loaded."""
    policy = recipe.policy.model_copy(update={"date": None})
    data = recipe.model_copy(update={"policy": policy}).model_dump(mode="json", exclude_none=True)
    asked = [Prompt.of(prompt) for prompt in prompts]
    columns = [dict(prompt.columns) for prompt in asked]
    return run_files.digest_of([data, [prompt.to_data() for prompt in asked], *([columns] if any(columns) else [])])


@contextmanager
def new_folder(folder: Path | None) -> Iterator[None]:
    """Make the folder of a new run, and lock it as long as the run lasts. Somebody's files are left alone.

    Args:
        folder: of the run; None for a run without files.

    Raises:
        SeaError: it holds a run already or anything else, is in use by another process, or cannot be written.
    """
    if folder is None:
        yield
        return
    refuse_used(folder)
    with held_folder(folder):
        refuse_used(folder)  # another process may have been faster
        yield


def refuse_used(folder: Path) -> None:
    """Raises: SeaError if a folder is there and holds files; hidden ones do not count."""
    if ranks.follows():
        return  # the first process may have written there by now
    try:
        if not folder.is_dir():
            return
        found = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except (OSError, ValueError) as error:
        raise _unusable(folder, error) from error
    if run_files.RECIPE in found:
        again = shlex.join(["sea-toolkit", "resume", str(folder)])
        raise SeaError(f"{folder} holds a run already", hint=f"another --out, or {again}")
    if found:
        names = ", ".join(found[:4]) + (", …" if len(found) > 4 else "")
        raise SeaError(f"{folder} is not empty: it holds {names}", expected="a new folder", hint="another --out")


@contextmanager
def held_folder(folder: Path) -> Iterator[None]:
    """Lock the folder of a run or of a comparison, which is made if need be; what killed processes left goes. Of the
    processes of one run, the first holds it for all, and alone writes there.

    Raises:
        SeaError: another process works in it, it cannot be written, or one of our names in it is a link.
    """
    if ranks.follows():
        with ranks.left_to_first(folder):
            yield
        return
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(hold(lock_name(folder), f"the folder {folder}"))
            _refuse_links(folder)
            for left in folder.glob(SCRATCH):
                left.unlink(missing_ok=True)
        except (OSError, ValueError) as error:
            raise _unusable(folder, error) from error
        yield


def lock_name(folder: Path) -> Path:
    """What is locked for a folder. It lies inside, so that other names for the folder lead to the same."""
    return folder / "run"


def _refuse_links(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_symlink() and path.name in run_files.NAMES:
            raise SeaError(
                f"{path} is a symbolic link", expected="a file of its own: a link would be followed to write elsewhere"
            )


def _unusable(folder: Path, error: OSError | ValueError) -> SeaError:
    reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    return SeaError(f"cannot use {folder} for a run: {reason}", hint="another --out")
