"""A look ahead before a run is paid for: the recipe with all defaults, what the terms say of a few base samples, and
about what the run will cost."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

from sea_toolkit.core.noise import Noise
from sea_toolkit.core.peak_memory import peak_memory_mb, reset_peak_memory
from sea_toolkit.lm.decoding import decode
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.run_state import RunState
from sea_toolkit.problem.scores import Scored
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.forecast import Forecast
from sea_toolkit.runs.length import Length
from sea_toolkit.runs.resolved import resolved
from sea_toolkit.runs.result import finite
from sea_toolkit.util.conversation import Prompt
from sea_toolkit.util.wording import counted

SAMPLES, MOST_PROMPTS = 4, 4
"""Base samples for each prompt, and the prompts that are looked at."""


@dataclass(frozen=True)
class TermRange:
    """One term over the base samples.

    Attributes:
        label: its name in results.
        weight: at the end of the run, mean over prompts.
        low, high: of the unweighted term, over all samples; of a reward with its sign.
        nats: |weight| · (largest − smallest) among the samples of one prompt, mean over prompts: how much it has to say
            in the choice between answers.
        share: of the `nats` of all terms.
        is_reward: higher is better.
    """

    label: str
    weight: float
    low: float
    high: float
    nats: float
    share: float
    is_reward: bool


@dataclass(frozen=True)
class Preview:
    """What `align --dry-run` shows.

    Attributes:
        recipe: as it would run: the sampler that is chosen, its chains and length, every option with its default.
        prompts: how many are asked; `looked_at`: how many of them the samples are of.
        terms: one for each term of the energy.
        finished: part of the samples that ended by themselves.
        samples: that the run will spend per prompt: the budget, or what its steps are expected to cost.
        seconds: about what the run takes, without reading models.
        memory_mb: about its peak, at least.
        notes: what the energies have to say.
    """

    recipe: dict[str, Any]
    prompts: int
    looked_at: int
    terms: list[TermRange]
    finished: float
    samples: float
    seconds: float
    memory_mb: float
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain data; numbers that are not finite are None."""
        data = asdict(self)
        data["terms"] = [{k: finite(v) if isinstance(v, float) else v for k, v in t.items()} for t in data["terms"]]
        return data


def preview(composition: Composition, problem: Problem, prompts: int, ahead: Forecast) -> Preview:
    """Draw a few base samples and score them; nothing is searched.

    Args:
        composition: a bound composition.
        problem: what it was bound to: the first `MOST_PROMPTS` prompts, or all of fewer.
        prompts: how many the run will have.
        ahead: what could be told before anything was loaded.
    """
    run = RunState.begin(problem.ledger, problem.clock, len(problem.prompts), SAMPLES, problem.policy.device)
    few = replace(problem, chains=SAMPLES, run=run)
    few.ledger.begin(few.sample_flops)
    noise = Noise.for_prompts(problem.prompts, composition.recipe.seed, problem.policy.device)
    reset_peak_memory()
    resting, began = peak_memory_mb(), time.perf_counter()
    drawn = decode(few.policy, few.prefix, noise.uniform(SAMPLES, few.length), ledger=few.ledger)
    run.weighing.base_ids, run.weighing.noise = drawn.ids, noise
    scored = few.score_as_text(drawn.ids, drawn.log_prob)
    seconds, peak = time.perf_counter() - began, peak_memory_mb()
    steps, budget = composition.length
    samples = ahead.samples if budget is None else budget
    each = seconds / (SAMPLES * len(problem.prompts))
    rows = problem.chains * prompts / (SAMPLES * len(problem.prompts))
    return Preview(
        recipe=resolved(composition, problem, problem.policy),
        prompts=prompts,
        looked_at=len(problem.prompts),
        terms=_ranges(few, {k: v.tolist() for k, v in scored.energies.terms.items()}, steps),
        finished=float(scored.finished.float().mean()),
        samples=samples,
        seconds=each * samples * prompts,
        memory_mb=round(resting + (peak - resting) * max(1.0, rows)),
        notes=[
            *problem.policy.notes,
            *(n for t in problem.terms for n in t.notes),
            *run.weighing.notes,
            *composition.notes(problem.policy),
            *few.run.incidents,
            *_kept(few, scored),
            *_no_step(composition, problem, budget),
            *(f"contradiction: {line}" for line in ahead.contradictions),
        ],
    )


def _kept(problem: Problem, scored: Scored) -> list[str]:
    """How many of the samples each limit lets through."""
    notes = []
    for label, outside in scored.violations.items():
        inside, words = int((outside == 0).sum()), {problem.limits[label].words(p) for p in range(len(outside))}
        ends = words.pop() if len(words) == 1 else "each prompt's own"
        notes.append(f"the limit {label} ({ends}) is kept by {inside} of {counted(outside.numel(), 'base sample')}")
    return notes


def _no_step(composition: Composition, problem: Problem, budget: float | None) -> list[str]:
    """A note where the budget may pay for the starting texts alone."""
    if budget is None or composition.sampler.counts_budget:
        return []
    first = composition.sampler.first_step_cost(problem)
    if first is None or first <= budget:
        return []
    cost = f"the start and a step can take {first:.1f} samples"
    return [f"perhaps no step will be taken: the budget is {budget:g}, and {cost}"]


def _ranges(problem: Problem, terms: Mapping[str, Sequence[Sequence[float]]], steps: int | None) -> list[TermRange]:
    weights = problem.weights_at(Length(steps, None).end)
    rows = {k: [[v for v in row if math.isfinite(v)] for row in values] for k, values in terms.items()}
    spans = {k: [max(row) - min(row) if row else 0.0 for row in values] for k, values in rows.items()}
    nats = {k: fmean(abs(w[k]) * span for w, span in zip(weights, spans[k], strict=True)) for k in rows}
    total = sum(nats.values())
    ranges = []
    for term in problem.terms:
        values = [(-v if term.is_reward else v) for row in rows[term.label] for v in row] or [math.nan]
        share = nats[term.label] / total if total else 0.0
        ranges.append(
            TermRange(
                term.label,
                fmean(w[term.label] for w in weights),
                min(values),
                max(values),
                nats[term.label],
                share,
                term.is_reward,
            )
        )
    return ranges


def first_prompts(prompts: Sequence[Prompt]) -> list[Prompt]:
    """Those that are looked at."""
    return list(prompts[:MOST_PROMPTS])
