"""The initializer `draft`: improve an existing text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxtyping import Int
from torch import Tensor

from sea_toolkit.errors import RecipeError
from sea_toolkit.initializers.texts import start_from, token_count
from sea_toolkit.problem.columns import Columns, cell, column_in
from sea_toolkit.problem.initializer import Initializer

if TYPE_CHECKING:
    from sea_toolkit.core.noise import Noise
    from sea_toolkit.problem.problem import Problem


class Draft(Initializer):
    """The given text as the first response of every chain.

    Args:
        text: one draft for all prompts, a list with one for each, or `{ column = "NAME" }` of the prompts' table.
        finished: whether the draft is a whole answer; if not, the sampler may write on after its end.
    """

    def __init__(self, *, text: str | list[str] | dict[str, str], finished: bool = True) -> None:
        self.text, self.finished = text, finished
        self.column = column_in(text, "the text of draft") if isinstance(text, dict) else None
        self.columns = Columns() if self.column is None else Columns(needed=(self.column,))

    def write(self, problem: Problem, noise: Noise, keep_cache: bool) -> Int[Tensor, "P C T"]:
        """Where the chains start.

        Raises:
            RecipeError: no text, another number of drafts than prompts, or a draft longer than the run's length.
        """
        prompts, drafts = len(problem.prompts), self._drafts(problem)
        if len(drafts) != prompts:
            raise RecipeError(f"{len(drafts)} drafts for {prompts} prompts", expected="one draft, or one per prompt")
        if not all(d.strip() for d in drafts):
            raise RecipeError("a draft is empty", expected="some text to improve", hint="the initializer base-samples")
        longest = max(token_count(problem, d, self.finished) for d in drafts)
        if longest > problem.length:
            raise RecipeError(
                f"the draft has {longest} tokens", expected=f"at most {problem.length}", hint="raise --max-new-tokens"
            )
        ids = start_from(problem, [[d] for d in drafts], [[self.finished]] * prompts)
        return ids.expand(-1, problem.chains, -1).contiguous()

    def _drafts(self, problem: Problem) -> list[str]:
        if self.column is not None:
            asks = "the text of draft"
            return [str(cell(prompt, i, self.column, asks)) for i, prompt in enumerate(problem.prompts, 1)]
        return [self.text] * len(problem.prompts) if isinstance(self.text, str) else list(self.text)
