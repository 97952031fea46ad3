"""`prompts.jsonl`: every prompt with its number, and how often it was given before."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sea_toolkit.errors import RecipeError, SeaError
from sea_toolkit.util import run_files
from sea_toolkit.util.conversation import Prompt, times_before
from sea_toolkit.util.json_text import parse_json

FILE = "prompts.jsonl"


@dataclass(frozen=True)
class Row:
    """One prompt.

    Attributes:
        index: its number in the file, from 0.
        prompt: with the other columns of its row.
        occurrence: how often it stands further ahead in the file, which decides on its random stream.
    """

    index: int
    prompt: Prompt
    occurrence: int


def content_of(prompts: Sequence[Prompt]) -> bytes:
    """The file for these prompts.

    Raises:
        RecipeError: their columns are no plain data.
    """
    lines = []
    for index, (prompt, occurrence) in enumerate(zip(prompts, times_before(prompts), strict=True)):
        data = {"index": index, "prompt": prompt.to_data(), "occurrence": occurrence}
        columns = dict(prompt.columns)
        try:
            lines.append(run_files.to_line({**data, "columns": columns} if columns else data))
        except (TypeError, ValueError, RecursionError) as error:
            raise RecipeError(
                f"the columns of prompt {index + 1} are no plain data: {error}",
                expected="texts, numbers, lists and tables",
            ) from error
    return b"".join(lines)


class PromptsFile:
    """The prompts of a folder, read a shard at a time.

    Args:
        folder: with the file.
        batch: prompts of a shard.
        sha256: what the file has to be.

    Raises:
        SeaError: it is missing, or another file.
    """

    def __init__(self, folder: Path, batch: int, sha256: str) -> None:
        self.path = folder / FILE
        digest, self._starts, at = hashlib.sha256(), list[int](), 0
        try:
            with open(self.path, "rb") as file:
                for number, line in enumerate(file):
                    if number % batch == 0:
                        self._starts.append(at)
                    at += len(line)
                    digest.update(line)
        except OSError as error:
            raise SeaError(f"cannot read {self.path}: {error.strerror or error}") from error
        if digest.hexdigest() != sha256:
            raise run_files.damaged(self.path, "its SHA-256 is another one")
        self._starts.append(at)

    def rows(self, shard: int) -> list[Row]:
        """The prompts of a shard."""
        begin, end = self._starts[shard : shard + 2]
        with open(self.path, "rb") as file:
            file.seek(begin)
            lines = file.read(end - begin).splitlines()
        return [_row(line) for line in lines]


def _row(line: bytes) -> Row:
    data = parse_json(line)
    prompt = Prompt.of(data["prompt"]).with_columns(data.get("columns", {}))
    return Row(data["index"], prompt, data["occurrence"])
