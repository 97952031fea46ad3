"""The plan of many prompts: what is asked of whom, and which prompts are worked on together."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sea_toolkit.errors import RecipeError, SeaError
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.util import run_files
from sea_toolkit.util.differences import differences

FILE = run_files.MANY
EXPECTED = "the folder of `sea-toolkit align --prompts FILE --batch N --out DIR`"


@dataclass(frozen=True)
class Plan:
    """What a folder of many prompts is for. A shard k is the prompts k · batch to (k + 1) · batch.

    Attributes:
        recipe: of all shards.
        prompts: how many there are.
        prompts_sha256: of `prompts.jsonl`.
        batch: prompts of a shard; they share a run, and rounding makes an answer depend on that company.
        checkpoint_every: steps between two checkpoints of a shard.
        explains: each run tells what the tokens of an answer are worth.
        threads: of torch on the CPU, for every worker: another number rounds otherwise.
        versions: of the toolkit, of the packages that compute, and of the plugins that take part.
        skipped: what was wrong with the lines of the user's file that were left out.
    """

    recipe: Recipe
    prompts: int
    prompts_sha256: str
    batch: int
    checkpoint_every: int
    explains: bool
    threads: int
    versions: dict[str, Any]
    skipped: list[str] = field(default_factory=list)

    @property
    def shards(self) -> int:
        """How many there are."""
        return -(-self.prompts // self.batch)

    def prompts_of(self, shard: int) -> range:
        """The numbers of a shard's prompts."""
        return range(shard * self.batch, min((shard + 1) * self.batch, self.prompts))

    def to_data(self) -> dict[str, Any]:
        """Plain data for `plan.json`."""
        recipe = self.recipe.model_dump(mode="json", exclude_none=True)
        return {**vars(self), "recipe": recipe}

    def write(self, folder: Path) -> None:
        """Write it, which is what makes a folder one of many prompts.

        Raises:
            SeaError: the folder cannot be written.
        """
        run_files.write_sealed(folder / FILE, self.to_data())

    @classmethod
    def read(cls, folder: Path) -> Plan:
        """Read it.

        Raises:
            RecipeError: there is none: the folder is not one of many prompts.
            SeaError: it is damaged, edited or of another version.
        """
        path = folder / FILE
        if not path.is_file():
            what = "holds no plan of many prompts" if folder.is_dir() else "is no folder"
            raise RecipeError(f"{folder} {what}", expected=EXPECTED)
        data = run_files.read_sealed(path)
        try:
            return cls(**{**data, "recipe": Recipe.parse(data["recipe"], where=str(path))})
        except (KeyError, TypeError) as error:
            raise SeaError(
                f"{path} is of another version: {error}", expected="the plan of a folder of prompts"
            ) from error

    def refuse_other(self, other: Plan, folder: Path) -> None:
        """Refuse to go on with a folder under another plan. The day and the number of threads stay those that it has.

        Raises:
            RecipeError: with everything that differs.
        """
        then, now = (_asked(plan) for plan in (self, other))
        if changed := differences(then, now):
            raise RecipeError(
                f"{folder} was begun with another plan:\n  " + "\n  ".join(changed),
                expected="the same prompts, recipe and batch",
                hint="another --out, or sea-toolkit resume, which reads the plan",
            )


def _asked(plan: Plan) -> dict[str, Any]:
    data = plan.to_data()
    policy = {**data["recipe"].get("policy", {}), "date": None}
    return {**data, "threads": None, "recipe": {**data["recipe"], "policy": policy}}
