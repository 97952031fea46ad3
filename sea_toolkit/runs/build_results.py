"""From what a run has met to one `Result` per prompt."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch

from sea_toolkit.errors import NumericalError
from sea_toolkit.problem.problem import Problem
from sea_toolkit.runs.archive import Archive, Candidate
from sea_toolkit.runs.explanation import TokenShare
from sea_toolkit.runs.limit_readings import law_with_limits, limit_notes, limit_readings
from sea_toolkit.runs.notes import Conduct, Outcome, notes_on
from sea_toolkit.runs.result import Result, finite
from sea_toolkit.util.conversation import Prompt


def nll_per_token(problem: Problem, candidates: list[list[Candidate]]) -> list[list[float]]:
    """−log π per token of P × n candidates, in nats, in the policy's own tokens (end of text included). For a text with
    more tokens than the policy has positions, the mean over those that fit. For one that is charged for tokens that
    are not read, the mean over all of them; nan where that is not known."""
    policy, prefix = problem.policy, problem.prompt_prefix
    ends = torch.tensor([[c.end_token for c in row] for row in candidates], device=policy.device)
    response = policy.from_text([[c.text for c in row] for row in candidates], ends >= 0, ends)
    mask, room = response.alive > 0, policy.room(prefix)
    if room is not None:
        mask = mask & (torch.arange(mask.shape[-1], device=mask.device) < room[:, None, None])
    width = max(1, int(mask.sum(-1).max()))
    mask, ids = mask[..., :width], response.ids[..., :width]
    total = torch.where(mask, policy.log_prob(prefix, ids, mask), 0.0).sum(-1)
    read = response.expected_length().tolist()
    means = (-total / mask.sum(-1).clamp(min=1)).tolist()
    return [
        [mean if c.tokens == n else mean_charge(problem, c) for mean, n, c in zip(*rows, strict=True)]
        for rows in zip(means, read, candidates, strict=True)
    ]


def mean_charge(problem: Problem, candidate: Candidate) -> float:
    """−log π per token by the candidate's own terms."""
    tokens = torch.tensor([[float(candidate.tokens)]])
    for term in problem.terms:
        if term.policy_energy is not None and candidate.tokens:
            return candidate.terms[term.label] / float(term.policy_energy.per_nat(tokens)) / candidate.tokens
    return float("nan")


def build_results(
    problem: Problem,
    archives: Sequence[Archive],
    facts: dict[str, Any],
    conduct: Conduct,
    accepted: Sequence[int],
    weights: Sequence[dict[str, float]],
    tokens: Sequence[Sequence[list[TokenShare]]] | None = None,
) -> list[Result]:
    """One result per prompt.

    Args:
        problem: the problem of the run.
        archives: what was met, one per prompt.
        facts: the fields of `Result` that all prompts share.
        conduct: how the run went.
        accepted: per prompt the proposals that were accepted; empty if the sampler accepts or rejects nothing.
        weights: for each prompt label → weight at the end of the run.
        tokens: of each prompt the shares of the first text's and the answer's tokens; None where nobody asked.

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
    nll, stopped = _nll_and_stopped(problem, [[a.starts[0], a.best[0]] for a in archives], failed)
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


def _nll_and_stopped(
    problem: Problem, shown: list[list[Candidate]], failed: bool
) -> tuple[list[list[float]], list[list[bool]]]:
    """−log π per token of the shown texts, and which chains are stopped. After a failure the device may be of no use
    any more: nan, and none."""
    try:
        return nll_per_token(problem, shown), problem.stopped.tolist()
    except Exception:
        if not failed:
            raise
        return [[float("nan")] * len(row) for row in shown], [[False] * problem.chains for _ in shown]


def _chain(archive: Archive, start: Candidate, stopped: list[bool]) -> dict[str, Any]:
    best = archive.by_chain[start.chain]
    return {
        "start": start.text,
        "start_energy": finite(start.energy),
        "response": best.text,
        "energy": finite(best.energy),
        "stopped": stopped[start.chain],
    }
