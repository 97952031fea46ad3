"""From what a run has met to one `Result` per prompt."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from sea_toolkit.errors import NumericalError
from sea_toolkit.problem.problem import Problem
from sea_toolkit.runs.archive import Archive, Candidate
from sea_toolkit.runs.explanation import AnswerToken
from sea_toolkit.runs.limit_readings import law_with_limits, limit_notes, limit_readings
from sea_toolkit.runs.notes import Conduct, Outcome, notes_on
from sea_toolkit.runs.read_again import ReadTexts
from sea_toolkit.runs.result import Result, finite
from sea_toolkit.runs.token_gains import TokenGain
from sea_toolkit.util.conversation import Prompt

Gains = Sequence[Sequence[Sequence[TokenGain]]]
"""Of each prompt's shown texts, token by token."""


def build_results(
    problem: Problem,
    archives: Sequence[Archive],
    facts: dict[str, Any],
    conduct: Conduct,
    accepted: Sequence[int],
    weights: Sequence[dict[str, float]],
    gains: Gains | None = None,
) -> list[Result]:
    """One result per prompt.

    Args:
        problem: the problem of the run.
        archives: what was met, one per prompt.
        facts: the fields of `Result` that all prompts share.
        conduct: how the run went.
        accepted: per prompt the proposals that were accepted; empty if the sampler accepts or rejects nothing.
        weights: for each prompt label → weight at the end of the run.
        gains: of each prompt those of the first text's and the answer's tokens; None where nobody asked.

    Raises:
        NumericalError: no text of any prompt has a finite energy.
    """
    walls = [_walls(problem, archive) for archive in archives]
    if all(a.best[0].energy == float("inf") for a in archives):
        named = [f"energy {owner!r} was +inf" for owner in dict.fromkeys(itertools.chain(*walls))]
        raise NumericalError(
            "no text has a finite energy: " + "; ".join([*problem.run.incidents, *named]),
            hint="leave out the energy that is named",
        )
    for p, owners in enumerate(walls, 1):
        if owners:
            named_here = " and ".join(f"energy {owner!r}" for owner in owners)
            facts["notes"].append(f"prompt {p}: no text has a finite energy: {named_here} was +inf for all")
    failed = facts["status"] == "failed"
    nll, tokens, stopped = _at_the_end(problem, [[a.starts[0], a.best[0]] for a in archives], gains, failed)
    rewards = [t.label for t in problem.terms if t.is_reward]
    shared = {k: v for k, v in facts.items() if k not in ("law", "notes")}
    results = []
    for p, archive in enumerate(archives):
        base, best = archive.starts[0], archive.best[0]
        pairs = {label: (base.terms[label], best.terms[label]) for label in best.terms}
        readings = limit_readings(problem, p, base, best)
        unmet = {t.label: t.unmet(problem.prompts[p], best.text, best.terms[t.label]) for t in problem.terms}
        unmet |= {label: limit.unmet(p, best.terms[label]) for label, limit in problem.limits.items()}
        outcome = Outcome(
            base=base,
            best=best,
            candidates=archive.best,
            met=archive.seen,
            weights=weights[p],
            rewards=rewards,
            unmet={label: what for label, what in unmet.items() if what},
            accepted=accepted[p] if accepted else None,
            moves=best.energy < float("inf") and not all(stopped[p]),
        )
        results.append(
            Result(
                prompt=Prompt.of(problem.prompts[p]),
                base_response=base.text,
                response=best.text,
                terms=pairs,
                rewards={k: (-v[0], -v[1]) for k, v in pairs.items() if k in rewards},
                weights=weights[p],
                energy=(base.energy, best.energy),
                limits=readings,
                nll_per_token=(nll[p][0], nll[p][1]),
                chains=[_chain(archive, start, stopped[p]) for start in archive.starts],
                candidates=archive.best,
                finished=(base.finished, best.finished),
                unmet=dict(outcome.unmet),
                medians={
                    k: median((-1.0 if k in rewards else 1.0) * c.terms[k] for c in archive.starts) for k in pairs
                },
                met=archive.seen,
                law=law_with_limits(problem, facts["law"], p),
                notes=[
                    *facts["notes"],
                    *limit_notes(readings, best, archive.best, archive.seen, conduct.draws),
                    *notes_on(outcome, conduct),
                ],
                tokens=None if tokens is None else (tokens[p][0], tokens[p][1]),
                **shared,
            )
        )
    return results


def _walls(problem: Problem, archive: Archive) -> list[str]:
    """Owners of the energies that are +inf where no text of the prompt has a finite energy."""
    best = archive.best[0]
    if best.energy < float("inf"):
        return []
    return [t.qualified for t in problem.terms if best.terms[t.label] == float("inf")]


def _at_the_end(
    problem: Problem, shown: list[list[Candidate]], gains: Gains | None, failed: bool
) -> tuple[list[list[float]], list[list[list[AnswerToken]]] | None, list[list[bool]]]:
    """−log π per token of the shown texts, their tokens, and which chains are stopped. After a failure the device may
    be of no use any more: nan, and none."""
    try:
        read = ReadTexts.read(problem, shown)
        tokens = read.tokens() if gains is None else _with_gains(read.tokens(), gains)
        return read.nll_per_token(), tokens, problem.stopped.tolist()
    except Exception:
        if not failed:
            raise
        return [[float("nan")] * len(row) for row in shown], None, [[False] * problem.chains for _ in shown]


def _with_gains(tokens: list[list[list[AnswerToken]]], gains: Gains) -> list[list[list[AnswerToken]]]:
    return [
        [[replace(t, gains=g.gains, kl=g.kl) for t, g in zip(*text, strict=True)] for text in zip(*row, strict=True)]
        for row in zip(tokens, gains, strict=True)
    ]


def _chain(archive: Archive, start: Candidate, stopped: list[bool]) -> dict[str, Any]:
    best = archive.by_chain[start.chain]
    return {
        "start": start.text,
        "start_energy": finite(start.energy),
        "response": best.text,
        "energy": finite(best.energy),
        "stopped": stopped[start.chain],
    }
