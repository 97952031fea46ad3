"""Columns of the prompts' table that an energy reads: the solution of a task, a label."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sea_toolkit.errors import RecipeError, shortened
from sea_toolkit.util.conversation import Prompt


@dataclass(frozen=True)
class Columns:
    """Which columns an energy reads; a run keeps these, and no others.

    Attributes:
        needed: each prompt must have them.
        used: it reads them where a prompt has them.
        every: it reads all that there are.
    """

    needed: Sequence[str] = ()
    used: Sequence[str] = ()
    every: bool = False

    @classmethod
    def union(cls, several: Iterable[Columns]) -> Columns:
        """What several energies read."""
        several = list(several)
        needed = dict.fromkeys(name for columns in several for name in columns.needed)
        used = dict.fromkeys(name for columns in several for name in columns.used)
        return cls(tuple(needed), tuple(used), any(columns.every for columns in several))

    def kept(self, prompt: Prompt) -> Prompt:
        """The prompt with no other columns than these."""
        names = {*self.needed, *self.used}
        return prompt.with_columns({k: v for k, v in prompt.columns.items() if self.every or k in names})

    def refuse_missing(self, prompts: Sequence[str], where: str) -> None:
        """Refuse prompts without a column that is needed.

        Args:
            prompts: of the run.
            where: what needs it, for messages.

        Raises:
            RecipeError: a prompt has none.
        """
        for name in self.needed:
            for i, prompt in enumerate(prompts, 1):
                row = columns_of(prompt)
                if name not in row:
                    there = f"the columns {', '.join(map(repr, row))}" if row else "no columns"
                    raise RecipeError(
                        f"{where} asks for {name!r}, and prompt {i} ({shortened(repr(str(prompt)), 40)}) has {there}",
                        expected=f"a column {name!r} in the table of prompts, or a default value in the function",
                        hint=f'--prompts FILE.csv, or in Python rows: [{{"prompt": "…", "{name}": …}}]',
                    )


def cell(prompt: str, number: int, name: str, asks: str) -> Any:
    """What stands in a column that each prompt has to fill.

    Args:
        prompt: of the run.
        number: its number, from 1.
        name: of the column.
        asks: what asks for it, for messages, such as "energies[1] (length): option 'target'".

    Raises:
        RecipeError: the prompt has no such column, or nothing stands there.
    """
    row = columns_of(prompt)
    value, shown = row.get(name), f"prompt {number} ({shortened(repr(str(prompt)), 40)})"
    if value is not None and not (isinstance(value, str) and not value.strip()):
        return value
    there = f"the columns {', '.join(map(repr, row))}" if row else "no columns"
    raise RecipeError(
        f"{asks} is that of the column {name!r}, and {shown} has {'a blank there' if name in row else there}",
        expected=f"a value in the column {name!r} for each prompt",
        hint=f'--prompts FILE.csv, or in Python rows: [{{"prompt": "…", "{name}": …}}]',
    )


def column_in(table: Mapping[str, Any], place: str) -> str:
    """The column that `{ column = "NAME" }` of a recipe names.

    Raises:
        RecipeError: the table is another one.
    """
    name = table.get("column")
    if set(table) != {"column"} or not isinstance(name, str) or not name:
        raise RecipeError(f"{place} is {table!r}", expected='{ column = "NAME" }, a column of the table of prompts')
    return name


def number_in(column: str, prompt: str, i: int, what: str) -> float:
    """The number that a prompt has in a column.

    Args:
        column: a column of the prompt.
        prompt: the prompt.
        i: its place among those of the run, from 1.
        what: needs it, for messages.

    Raises:
        RecipeError: the prompt has no such column, nothing stands there, or something else than a finite number.
    """
    found = cell(prompt, i, column, what)
    try:
        number = math.nan if isinstance(found, bool) else float(found)
    except (TypeError, ValueError):
        number = math.nan
    if math.isfinite(number):
        return number
    raise RecipeError(
        f"{what} is that of the column {column!r}, and prompt {i} ({shortened(repr(str(prompt)), 40)}) has "
        f"{shortened(repr(found), 40)} there",
        expected=f"a finite number in the column {column!r} for each prompt",
    )


def columns_of(prompt: str) -> Mapping[str, Any]:
    """The columns of a prompt; a plain text has none."""
    return prompt.columns if isinstance(prompt, Prompt) else {}
