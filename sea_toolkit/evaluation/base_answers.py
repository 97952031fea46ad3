"""The policy's own answers to prompts, and what each term of an energy says of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.noise import Noise
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.decoding import decode
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.run_state import RunState
from sea_toolkit.problem.scores import Scored
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.recipe import MOST
from sea_toolkit.runs.session import Session
from sea_toolkit.util.conversation import Prompt, times_before
from sea_toolkit.util.progress import Progress

TOGETHER = 256
"""Answers that are drawn side by side, about."""


@dataclass(frozen=True)
class BaseAnswers:
    """n answers to each of P prompts.

    Attributes:
        values: label → `[P, n]`, the unweighted terms.
        weighted: label → `[P, n]`, what each adds to the energy at the end of a run.
        weights: label → weight at the end of a run, mean over prompts.
        nll: `[P, n]`, −log π in nats; NaN if the energy has no reference.
        is_reward: labels of terms that are reported with the opposite sign.
        policy: the policy's name.
    """

    values: dict[str, Float[Tensor, "P n"]]
    weighted: dict[str, Float[Tensor, "P n"]]
    weights: dict[str, float]
    nll: Float[Tensor, "P n"]
    is_reward: frozenset[str]
    policy: str


def check_draws(samples: int, seed: int, prompts: int, fewest: int) -> None:
    """Refuse what nothing can be drawn with.

    Args:
        samples: answers per prompt.
        seed: of the draws.
        prompts: how many there are.
        fewest: answers per prompt.

    Raises:
        RecipeError: one of them is no such number, or there are no prompts.
    """
    if not isinstance(samples, int) or isinstance(samples, bool) or not fewest <= samples <= MOST:
        raise RecipeError(f"samples = {samples!r}", expected=f"a whole number from {fewest} to {MOST}")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise RecipeError(f"seed = {seed!r}", expected="a whole number from 0, below 2**63")
    if not prompts:
        raise RecipeError("there are no prompts", expected="some that the recipe is for")


def scored_base_answers(
    session: Session,
    composition: Composition,
    prompts: Sequence[Prompt],
    samples: int,
    seed: int,
    progress: Progress,
    *,
    gradients: bool = False,
) -> Iterator[tuple[Problem, Scored]]:
    """Draw answers and score them as text, a few prompts at a time; nothing is searched.

    Args:
        session: has the models.
        composition: of the session.
        prompts: P of them; each has the stream that it has in a run of all.
        samples: answers per prompt.
        seed: of the draws.
        progress: is told how many prompts are done.
        gradients: see `Problem.score_as_text`.

    Raises:
        SeaError: as a run of this composition.
    """
    size = max(1, TOGETHER // samples)
    counts = times_before(prompts)
    for first in range(0, len(prompts), size):
        some = prompts[first : first + size]
        clock = Clock(progress=1.0)
        bound = session.bind(composition, some, clock=clock)
        run = RunState.begin(bound.ledger, clock, len(some), samples, bound.policy.device)
        problem = replace(bound, chains=samples, run=run)
        noise = Noise.for_prompts(some, seed, problem.policy.device, occurrences=counts[first : first + size])
        drawn = decode(problem.policy, problem.prefix, noise.uniform(samples, problem.length), ledger=problem.ledger)
        yield problem, problem.score_as_text(drawn.ids, drawn.log_prob, gradients=gradients)
        progress(min(first + size, len(prompts)), len(prompts), "drawing base answers")


def draw_base_answers(
    session: Session, composition: Composition, prompts: Sequence[Prompt], samples: int, seed: int, progress: Progress
) -> BaseAnswers:
    """What each term says of base answers; see `scored_base_answers`."""
    values: dict[str, list[Tensor]] = {}
    weighted: dict[str, list[Tensor]] = {}
    weights: dict[str, list[Tensor]] = {}
    nll: list[Tensor] = []
    for problem, scored in scored_base_answers(session, composition, prompts, samples, seed, progress):
        for term in problem.terms:
            value = scored.energies.terms[term.label]
            values.setdefault(term.label, []).append(value.double().cpu())
            weighted.setdefault(term.label, []).append(problem.weighted(term, value).double().cpu())
            weights.setdefault(term.label, []).append(problem.weight(term).double().cpu())
        nll.append(scored.nll.double().cpu())
    return BaseAnswers(
        {label: torch.cat(rows) for label, rows in values.items()},
        {label: torch.cat(rows) for label, rows in weighted.items()},
        {label: float(torch.cat(rows).mean()) for label, rows in weights.items()},
        torch.cat(nll),
        frozenset(term.label for term in problem.terms if term.is_reward),
        problem.policy.name,
    )
