"""The initializer `draft`: improve an existing text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxtyping import Int
from torch import Tensor

from sea_toolkit.errors import RecipeError
from sea_toolkit.initializers.texts import start_from, token_count

if TYPE_CHECKING:
    from sea_toolkit.core.noise import Noise
    from sea_toolkit.problem.problem import Problem


def draft(problem: Problem, noise: Noise, *, text: str | list[str], finished: bool = True) -> Int[Tensor, "P C T"]:
    """The given text as the first response of every chain.

    Args:
        text: one draft for all prompts, or a list with one for each.
        finished: whether the draft is a whole answer; if not, the sampler may write on after its end.

    Raises:
        RecipeError: no text, another number of drafts than prompts, or a draft longer than the run's length.
    """
    prompts = len(problem.prompts)
    drafts = [text] * prompts if isinstance(text, str) else list(text)
    if len(drafts) != prompts:
        raise RecipeError(f"{len(drafts)} drafts for {prompts} prompts", expected="one draft, or one per prompt")
    if not all(d.strip() for d in drafts):
        raise RecipeError("a draft is empty", expected="some text to improve", hint="the initializer base-samples")
    longest = max(token_count(problem, d, finished) for d in drafts)
    if longest > problem.length:
        raise RecipeError(
            f"the draft has {longest} tokens", expected=f"at most {problem.length}", hint="raise --max-new-tokens"
        )
    ids = start_from(problem, [[d] for d in drafts], [[finished]] * prompts)
    return ids.expand(-1, problem.chains, -1).contiguous()
