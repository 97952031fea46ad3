"""The energy `regex`: texts that match a regular expression, as often as asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from sea_toolkit.errors import RecipeError
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy, Energy
from sea_toolkit.util.limited import Pattern, Unjudged


class Regex(Energy):
    """How far the number of matches is from the wanted one; without a gradient.

    A pattern that has to be there costs 1 where it is not; with mode "count" each match too few or too many costs 1.
    Patterns are Python's; `(?i)` at the start ignores case, `(?s)` lets a dot match line breaks. A text for which the
    pattern takes more than half a second costs as much as the worst text of its length, and a note counts it.

    Args:
        pattern: the regular expression.
        mode: "search": the pattern is somewhere in the text; "fullmatch": it is the whole text, without white space at
            its ends; "count": the number of its matches, which do not overlap, lies from `at_least` to `at_most`;
            "absent": it is nowhere, each match costs 1.
        at_least: fewest matches, with mode "count".
        at_most: most matches, with mode "count"; no limit if left out.

    Raises:
        RecipeError: no regular expression, limits without mode "count", or limits that no number satisfies.
    """

    differentiable = False

    def __init__(
        self,
        *,
        pattern: Annotated[str, Field(min_length=1)],
        mode: Literal["search", "fullmatch", "count", "absent"] = "search",
        at_least: Annotated[int, Field(ge=0)] | None = None,
        at_most: Annotated[int, Field(ge=0)] | None = None,
    ) -> None:
        try:
            self.pattern = Pattern(pattern)
        except ValueError as error:
            raise RecipeError(
                f"the pattern {pattern!r} is no regular expression: {error}",
                expected="one in Python's syntax",
                hint="TOML's 'single quotes' keep backslashes as they are",
            ) from error
        if mode != "count" and (at_least, at_most) != (None, None):
            raise RecipeError(f"limits on the number of matches, and mode = {mode!r}", expected='mode = "count"')
        if mode == "count" and (at_least, at_most) == (None, None):
            raise RecipeError('mode = "count" without limits', expected="at_least, at_most or both")
        self.mode = mode
        self.least, self.most = {"absent": (0, 0), "count": (at_least or 0, at_most)}.get(mode, (1, None))
        if self.most is not None and self.least > self.most:
            raise RecipeError(f"at_least = {self.least} is above at_most = {self.most}")
        self.tells_early = mode in ("count", "absent")  # half an answer has half of the matches
        self.unjudged = Unjudged("regex", "as much as the worst text of that length")

    def bind(self, context: Context) -> BoundEnergy:
        """The energy itself: it is the same in every run."""
        return BoundEnergy(score_text=self.score_text, warnings=self.unjudged.notes, unmet=self._unmet)

    def _unmet(self, prompt: str, text: str, value: float) -> str:
        wrong = "occurs" if self.mode == "absent" else "matches too few or too many times"
        wrong = "does not match" if self.mode in ("search", "fullmatch") else wrong
        return f"{self.pattern.text!r} {wrong}" if value > 0 else ""

    def score_text(self, prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
        """One number per text."""
        return [self._score(text) for text in texts]

    def _score(self, text: str) -> float:
        try:
            return self._distance(self._matches(text))
        except TimeoutError:
            self.unjudged.add()
            return max(self._distance(0), self._distance(len(text) + 1))  # more matches than that are impossible

    def _matches(self, text: str) -> int:
        if self.mode == "fullmatch":
            return int(self.pattern.fullmatch(text.strip()))
        if self.mode == "search":
            return int(self.pattern.search(text))
        return self.pattern.count(text)

    def _distance(self, matches: int) -> float:
        over = 0 if self.most is None else max(0, matches - self.most)
        return float(max(0, self.least - matches) + over)
