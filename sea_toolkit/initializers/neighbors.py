"""The initializer `neighbors`: start from another run's answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxtyping import Int
from torch import Tensor

from sea_toolkit.errors import RecipeError, SeaError
from sea_toolkit.initializers.texts import start_from, token_count
from sea_toolkit.util.conversation import Prompt
from sea_toolkit.util.paths import user_path
from sea_toolkit.util.run_files import RESULT, read_json

if TYPE_CHECKING:
    from sea_toolkit.core.noise import Noise
    from sea_toolkit.problem.problem import Problem


def neighbors(problem: Problem, noise: Noise, *, run: str) -> Int[Tensor, "P C T"]:
    """The best answers of a run to the same prompt, a different text in each chain as long as there are any.

    Args:
        run: folder of a run that has ended (`--out`). Its prompts are compared by their text, conversations by all
            turns; its model, sampler and energy may be others.

    Raises:
        RecipeError: the folder holds no answers, none to one of the prompts, or only too long ones.
    """
    answers = _answers(user_path(run, "the run of neighbors"))
    texts, finished = [], []
    for prompt in problem.prompts:
        if prompt not in answers:
            raise RecipeError(
                f"the run {run} has no answer to the prompt {prompt[:60]!r}",
                expected=f"one of its {len(answers)} prompts, such as {next(iter(answers))[:60]!r}",
            )
        nonempty = [(text, done) for text, done in answers[prompt] if token_count(problem, text, done) > 0]
        fit = [pair for pair in nonempty if token_count(problem, *pair) <= problem.length]
        if not fit:
            raise RecipeError(
                f"the run {run} has {len(nonempty)} answers to the prompt {prompt[:60]!r}, and each has more tokens",
                expected=f"one of at most {problem.length} tokens",
                hint="raise --max-new-tokens",
            )
        chosen = [fit[c % len(fit)] for c in range(problem.chains)]
        texts.append([text for text, _ in chosen])
        finished.append([done for _, done in chosen])
    return start_from(problem, texts, finished)


def _answers(folder: Path) -> dict[str, list[tuple[str, bool]]]:
    """Prompt → different texts, the best first, and whether each ended by itself."""
    try:
        results: Any = read_json(folder / RESULT)
        answers: dict[str, list[tuple[str, bool]]] = {}
        for result in results:
            prompt = Prompt.of(result.get("messages", result["prompt"]))
            if prompt in answers:
                continue
            texts: dict[str, bool] = {}
            for candidate in result["candidates"]:
                texts.setdefault(candidate["text"], candidate["finished"])
            answers[prompt] = list(texts.items())
        if not answers:
            raise KeyError("prompt")
        return answers
    except SeaError as error:
        raise RecipeError(
            f"neighbors cannot use the run {folder}: {error.got}",
            expected=f"the folder of a run that has ended, with its {RESULT}",
            hint=f"sea-toolkit resume {folder} ends a run that was stopped",
        ) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise RecipeError(
            f"{folder / RESULT} is no list of answers: {type(error).__name__}: {error}",
            expected="the folder of a run (--out)",
        ) from error
