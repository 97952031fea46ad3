"""What hosts of evaluations share: an aligner from the arguments that they pass as text, and what each answer cost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sea_toolkit.aligner import Aligner
from sea_toolkit.errors import RecipeError, did_you_mean
from sea_toolkit.lm.policy import Policy
from sea_toolkit.runs.named_recipes import read_recipe
from sea_toolkit.runs.result import Result, plain
from sea_toolkit.util.conversation import Prompt
from sea_toolkit.util.stop_strings import before_stops

_OF_THE_POLICY = ("model", "device", "dtype", "attention", "template", "system")
_OF_A_RUN = ("sampler", "chains", "steps", "budget", "max_new_tokens", "seed")
ARGUMENTS = ("recipe", "reward", *_OF_THE_POLICY, *_OF_A_RUN)
"""Names of what a host may be given."""


@dataclass(frozen=True)
class Answer:
    """An aligned answer for a host.

    Attributes:
        text: cut at the first of the host's stop strings.
        result: the whole result.
        facts: plain data: samples and FLOPs spent on it, energies and rewards before and after, how it ended, notes.
    """

    text: str
    result: Result
    facts: dict[str, Any]


class Aligned:
    """An aligner that stays loaded, with the arguments of a host.

    Args:
        arguments: of `ARGUMENTS`; a reward is `NAME` or `NAME=WEIGHT`. What is None counts as left out.
        batch: prompts that are aligned side by side.
        policy: a model of one's own.

    Raises:
        RecipeError: an unknown argument, or the recipe is wrong.
    """

    def __init__(self, arguments: Mapping[str, Any], batch: int = 1, policy: Policy | None = None) -> None:
        for name in arguments:
            if name not in ARGUMENTS:
                raise RecipeError(f"unknown argument {name!r}", hint=did_you_mean(name, ARGUMENTS))
        given = {name: value for name, value in arguments.items() if value is not None}
        self.batch = batch
        self.recipe = read_recipe(given.get("recipe") or {})
        self.reward = None if "reward" not in given else _reward(str(given["reward"]))
        self._settings = {name: given[name] for name in _OF_A_RUN if name in given}
        if isinstance(self._settings.get("budget"), int):
            self._settings["budget"] = float(self._settings["budget"])
        of_policy = {name: str(given[name]) for name in _OF_THE_POLICY if name in given}
        self.aligner = Aligner(self.recipe, policy=policy, **of_policy)  # type: ignore[arg-type]

    @property
    def policy(self) -> Policy:
        """The policy, loaded at the first call."""
        return self.aligner.policy

    def answers(
        self, prompts: Sequence[Any], stops: Sequence[Sequence[str]], most_tokens: int | None = None, **settings: Any
    ) -> list[Answer]:
        """Align answers to prompts, `batch` of them side by side.

        Args:
            prompts: texts or conversations.
            stops: for each of them the strings at which its answer is cut.
            most_tokens: of an answer; the recipe's number if None.
            settings: of the run, laid over those of the host.

        Raises:
            RecipeError, ModelError, PluginError: as `align`.
        """
        chosen = self._settings | ({} if most_tokens is None else {"max_new_tokens": most_tokens}) | settings
        asked = [Prompt.of(prompt, f"prompt {i}") for i, prompt in enumerate(prompts, 1)]
        results = self.aligner.align(asked, reward=self.reward, batch=self.batch, on_interrupt="raise", **chosen)
        found = []
        for i, (result, stop) in enumerate(zip(results, stops, strict=True)):
            first = i - i % self.batch
            company = min(self.batch, len(results) - first)
            found.append(Answer(before_stops(result.response, stop), result, facts_of(result, company)))
        return found


def _reward(text: str) -> dict[str, float]:
    """`NAME=WEIGHT`, or a name whose weight is 1."""
    name, equals, weight = text.rpartition("=")
    try:
        return {name: float(weight)} if equals else {text: 1.0}
    except ValueError:
        return {text: 1.0}


def facts_of(result: Result, company: int) -> dict[str, Any]:
    """What a host keeps of an answer, as plain data.

    Args:
        result: of the answer.
        company: prompts that shared its run, and its cost.
    """
    facts = {
        "samples": result.ledger["samples_per_prompt"],
        "flops": result.ledger["flops"] / company,
        "energy": list(result.energy),
        "rewards": {label: list(pair) for label, pair in result.rewards.items()},
        "base_response": result.base_response,
        "kept": result.kept,
        "finished": result.finished[1],
        "sampler": result.sampler,
        "seed": result.seed,
        "status": result.status,
        "notes": result.notes,
    }
    data: dict[str, Any] = json.loads(json.dumps(plain(facts)))
    return data
