"""One part of the shards, for job arrays: `3/16` is the third of sixteen."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sea_toolkit.errors import RecipeError, shortened


@dataclass(frozen=True)
class Part:
    """The shards whose number leaves `number − 1` when divided by `of`.

    Attributes:
        number: from 1.
        of: how many parts there are.
    """

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Part:
        """From `i/N`.

        Raises:
            RecipeError: another form, or no number from 1 to N.
        """
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip())
        part = cls(*map(int, found.groups())) if found else None
        if part is None or not 1 <= part.number <= part.of:
            raise RecipeError(f"--shard {shortened(text)}", expected="i/N with i from 1 to N, as in 3/16")
        return part

    def shards(self, count: int) -> range:
        """Its shards, of so many."""
        return range(self.number - 1, count, self.of)
