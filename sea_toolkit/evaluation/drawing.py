"""Answers drawn from the policy and scored under every term: the measure of a sweep, and what it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from sea_toolkit.core.noise import Noise
from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.pools import Met
from sea_toolkit.lm.decoding import decode
from sea_toolkit.lm.kv_cache import Prefix
from sea_toolkit.lm.policy import Policy
from sea_toolkit.problem.problem import Problem
from sea_toolkit.runs.archive import candidates_of
from sea_toolkit.util.conversation import Message, Prompt

AT_ONCE = 16
"""Answers of a prompt that are drawn side by side."""


@torch.no_grad()
def draw_texts(
    problem: Problem,
    noise: Noise,
    count: int,
    where: str,
    tell: Callable[[int], None],
    prefix: Prefix | None = None,
) -> list[list[Met]]:
    """The texts of each prompt, equal ones too; without those that a term forbids.

    Args:
        problem: scores them, under its own prompts whatever they were drawn after.
        noise: its streams.
        count: answers of each prompt.
        where: see `Met`.
        tell: is called with the number of answers so far.
        prefix: of the prompts that they are drawn after, one for each of the problem's; those of the problem if None.
    """
    texts, drawn = [list[Met]() for _ in problem.prompts], 0
    while drawn < count:
        n = min(AT_ONCE, count - drawn)
        uniform = noise.uniform(n, problem.length)
        found = decode(problem.policy, prefix or problem.prefix, uniform, ledger=problem.ledger)
        # log π after another prompt is not that of this one
        scored = problem.score_as_text(found.ids, None if prefix is not None else found.log_prob)
        met = candidates_of(scored, 0, problem.weights_at(problem.clock))
        for row, candidates in zip(texts, met, strict=True):
            row += [Met.of(c, problem, where) for c in candidates if c.energy < float("inf")]
        drawn += n
        tell(drawn)
    return texts


def instructed(policy: Policy, prompts: Sequence[Prompt], instruction: str) -> list[Prompt]:
    """The prompts with an instruction: in the system message, or above a prompt that is put to the policy as it is."""
    return [_instructed(policy, prompt, instruction) for prompt in prompts]


def _instructed(policy: Policy, prompt: Prompt, instruction: str) -> Prompt:
    if policy.chat is None:
        return prompt.ask(f"{instruction}\n\n{prompt}")
    turns = list(prompt.messages)
    own = turns.pop(0).content if turns[0].role == "system" else policy.chat.system
    text = instruction if own is None else f"{own}\n\n{instruction}"
    return Prompt(str(prompt), [Message("system", text), *turns], prompt.columns)


def read_instructions(texts: Sequence[str]) -> dict[str, str]:
    """`label=TEXT` → label → text.

    Raises:
        RecipeError: another form, or a label that is there twice.
    """
    instructions: dict[str, str] = {}
    for text in texts:
        label, equals, instruction = text.partition("=")
        if not equals or not label.strip() or not instruction.strip():
            raise RecipeError(f"prompted {text!r}", expected="LABEL=TEXT, as in happy=Answer cheerfully.")
        if label.strip() in instructions:
            raise RecipeError(f"prompted: {label.strip()!r} is there twice", expected="each label once")
        instructions[label.strip()] = instruction.strip()
    return instructions
