"""From what a run has met to the answers of a request: the best distinct texts, cut where the client says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sea_toolkit.core.torch_state import own_torch_state
from sea_toolkit.problem.problem import Problem
from sea_toolkit.runs.archive import Candidate
from sea_toolkit.runs.explanation import AnswerToken
from sea_toolkit.runs.read_again import ReadTexts
from sea_toolkit.runs.result import Result
from sea_toolkit.runs.run import STOPPED
from sea_toolkit.serving.order import Order
from sea_toolkit.util.stop_strings import before_stops


@dataclass(frozen=True)
class Choice:
    """One answer.

    Attributes:
        text: of the answer.
        ended: by itself, or at a text of `stop`; else it was cut at its length, or the time was over.
        energy: of the text before a cut, in nats; lower is better.
        terms: label → unweighted term.
        rewards: label → reward.
        cut: it ends before a text of `stop`.
        tokens: how many it has.
        logprobs: log π of its tokens, if it is wanted.
    """

    text: str
    ended: bool
    energy: float
    terms: Mapping[str, float]
    rewards: Mapping[str, float]
    cut: bool
    tokens: int
    logprobs: Sequence[AnswerToken] | None = None


@dataclass(frozen=True)
class Answer:
    """What a request gets for one prompt.

    Attributes:
        choices: best first.
        notes: what a person should know.
        prompt_tokens: of the prompt as the policy reads it.
        samples, flops: what the run spent on this prompt.
        energy: (of the first text, of the answer).
        rewards: label → (of the first text, of the answer).
        sampler, steps, seed, status: of the run.
        together: prompts of the run.
    """

    choices: Sequence[Choice]
    notes: Sequence[str]
    prompt_tokens: int
    samples: float
    flops: float
    energy: tuple[float, float]
    rewards: Mapping[str, tuple[float, float]]
    sampler: str
    steps: int
    seed: int
    status: str
    together: int


def answer_of(order: Order, result: Result, problem: Problem, row: int, prompt_tokens: int) -> Answer:
    """The answer to one prompt of a run.

    Args:
        order: what is wanted.
        result: of the prompt.
        problem: of the run.
        row: of the prompt in it.
        prompt_tokens: of the prompt.
    """
    chosen = distinct(result.candidates, order.stops, order.choices)
    tokens = _tokens(problem, row, [candidate for candidate, _ in chosen])
    in_time = result.status != STOPPED
    choices = [
        Choice(
            text=candidate.text,
            ended=cut or (candidate.finished and in_time),
            energy=candidate.energy,
            terms=candidate.terms,
            rewards={label: -candidate.terms[label] for label in result.rewards},
            cut=cut,
            tokens=len(read),
            logprobs=[token for token in read if token.span[0] < token.span[1]] if order.logprobs else None,
        )
        for (candidate, cut), read in zip(chosen, tokens, strict=True)
    ]
    notes = list(result.notes)
    if len(choices) < order.choices:
        notes.append(f"n = {order.choices}: the run met {len(choices)} distinct answers")
    if any(choice.cut for choice in choices):
        notes.append("cut at a text of stop: the energy and the terms are those of the whole text")
    return Answer(
        choices=choices,
        notes=notes,
        prompt_tokens=prompt_tokens,
        samples=result.ledger["samples_per_prompt"],
        flops=result.ledger["flops"] / len(problem.prompts),
        energy=result.energy,
        rewards=result.rewards,
        sampler=result.sampler,
        steps=result.steps,
        seed=result.seed,
        status=result.status,
        together=len(problem.prompts),
    )


def distinct(candidates: Sequence[Candidate], stops: Sequence[str], most: int) -> list[tuple[Candidate, bool]]:
    """The best candidates whose texts differ once they are cut, and whether each was; the first one in any case.

    Args:
        candidates: best first.
        stops: texts at which an answer ends.
        most: how many, at most.
    """
    found: dict[str, tuple[Candidate, bool]] = {}
    for candidate in candidates:
        text = before_stops(candidate.text, stops)
        if text in found or (found and candidate.energy == math.inf):
            continue
        is_cut = text != candidate.text
        found[text] = (replace(candidate, text=text, end_token=-1) if is_cut else candidate), is_cut
        if len(found) == most:
            break
    return list(found.values())


@own_torch_state()
def _tokens(problem: Problem, row: int, texts: Sequence[Candidate]) -> list[list[AnswerToken]]:
    """The tokens of a prompt's texts, as the policy reads them."""
    rows = [list(texts) if i == row else [texts[0]] * len(texts) for i in range(len(problem.prompts))]
    return ReadTexts.read(problem, rows).tokens()[row]
