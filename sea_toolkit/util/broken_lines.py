"""Lines of a file that cannot be read: the first ends the reading, or all are left out and named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sea_toolkit.errors import RecipeError


class BrokenLines:
    """What becomes of lines that cannot be read.

    Args:
        skip: leave them out.

    Attributes:
        skipped: what is wrong with each that was left out; file and line are named.
    """

    def __init__(self, *, skip: bool = False) -> None:
        self.skip = skip
        self.skipped: list[str] = []

    @contextmanager
    def line(self) -> Iterator[None]:
        """Around the reading of one line; an error in it counts for this line alone.

        Raises:
            RecipeError: the line is broken, and none is to be left out.
        """
        try:
            yield
        except RecipeError as error:
            if not self.skip:
                raise
            self.skipped.append(error.got)
