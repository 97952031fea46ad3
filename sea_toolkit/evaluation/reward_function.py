"""An energy as the reward function that trainers of the TRL family call."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.score import Scorer
from sea_toolkit.util.conversation import Prompt, as_prompts

RewardFunction = Callable[..., list[float | None]]
"""`function(prompts=…, completions=…, **columns)`: a reward for each completion."""


def reward_function(scorer: Scorer, name: str = "sea") -> RewardFunction:
    """A function for `reward_funcs` of a trainer such as TRL's GRPO or RLOO.

    A completion's reward is its `Score.utility`, without −log π: the trainer has a penalty of its own for leaving the
    policy. A text that is forbidden (an infinite energy) gets None, which trainers leave out.

    Args:
        scorer: has the energy; its models stay loaded.
        name: under which the trainer logs it.
    """

    def function(*, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        found = scorer.score(_rows(prompts, columns), [_text(completion) for completion in completions])
        return [one.utility if math.isfinite(one.utility) else None for one in found]

    function.__name__ = name
    return function


def _text(completion: Any) -> str:
    """The answer in a completion: a text, or messages of the assistant."""
    if isinstance(completion, str):
        return completion
    try:
        return "".join(message["content"] or "" for message in completion if message["role"] == "assistant")
    except (TypeError, KeyError) as error:
        raise RecipeError(
            f"a completion is {completion!r}", expected='a text, or messages [{"role": "assistant", "content": …}]'
        ) from error


def _rows(prompts: Sequence[Any], columns: Mapping[str, Any]) -> list[Prompt]:
    """Prompts with the data set's columns of plain values: options and weights may come from them."""
    plain = {key: values for key, values in columns.items() if _is_column(values, len(prompts))}
    rows = []
    for i, asked in enumerate(as_prompts(list(prompts))):
        rows.append(Prompt(str(asked), asked.messages, {key: values[i] for key, values in plain.items()}))
    return rows


def _is_column(values: Any, size: int) -> bool:
    """Whether these are plain values, one for each prompt."""
    if isinstance(values, str) or not isinstance(values, Sequence) or len(values) != size:
        return False
    return all(isinstance(value, str | int | float) for value in values)
