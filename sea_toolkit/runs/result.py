"""What a run leaves: for each prompt the answer it started from, the best one met, and everything else it saw."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sea_toolkit.errors import NumericalError
from sea_toolkit.problem.problem import Problem
from sea_toolkit.runs.archive import Archive, Candidate
from sea_toolkit.util.conversation import Prompt


@dataclass(frozen=True)
class Result:
    """The outcome for one prompt.

    Attributes:
        prompt: the user's last turn; a string with the conversation's `messages`.
        base_response: what the first chain started from: a sample of the policy, unless another initializer was
            chosen.
        response: the text of the lowest re-scored energy among all that were met, the starting texts included.
        terms: label → (before, after), unweighted, lower is better.
        rewards: label → (before, after) for the reward terms, as the reward model gives them.
        weights: label → weight at the end of the run; a reward with a negative weight is one to be lowered.
        energy: (before, after), with the weights at the end of the run.
        nll_per_token: (before, after), −log π per token in nats.
        chains: per chain its starting text, its best text, their energies, and whether it was stopped.
        candidates: distinct texts, best first (at most 256).
        ledger: what the whole run spent, all prompts together.
        sampler, steps, status: which sampler ran how many steps; "done", "interrupted" or "failed".
        notes: whatever a person should know: stopped chains, observers that failed, probes that fit only nearly.
    """

    prompt: Prompt
    base_response: str
    response: str
    terms: dict[str, tuple[float, float]]
    rewards: dict[str, tuple[float, float]]
    weights: dict[str, float]
    energy: tuple[float, float]
    nll_per_token: tuple[float, float]
    chains: list[dict[str, Any]]
    candidates: list[Candidate]
    ledger: dict[str, Any]
    sampler: str
    law: str
    steps: int
    seed: int
    status: str
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain data; pairs become `{"before": …, "after": …}`."""

        def pair(values: tuple[float, float]) -> dict[str, float | None]:
            return {"before": finite(values[0]), "after": finite(values[1])}

        return {
            "prompt": str(self.prompt),
            **({"messages": self.prompt.to_data()} if self.prompt.is_conversation else {}),
            "base_response": self.base_response,
            "response": self.response,
            "terms": {k: pair(v) for k, v in self.terms.items()},
            "rewards": {k: pair(v) for k, v in self.rewards.items()},
            "weights": self.weights,
            "energy": pair(self.energy),
            "nll_per_token": pair(self.nll_per_token),
            "sampler": self.sampler,
            "law": self.law,
            "steps": self.steps,
            "seed": self.seed,
            "status": self.status,
            "notes": self.notes,
            "chains": self.chains,
            "candidates": [{**asdict(c), "energy": finite(c.energy)} for c in self.candidates],
            "ledger": self.ledger,
        }

    def to_json(self, indent: int | None = None) -> str:
        """JSON; numbers that are not finite become null."""
        return json.dumps(_plain(self.to_dict()), ensure_ascii=False, indent=indent, allow_nan=False)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a run: `results` holds what there is, and the folder (if any) can be resumed."""

    def __init__(self, results: list[Result]) -> None:
        super().__init__("interrupted")
        self.results = results


def finite(value: float) -> float | None:
    """The same with None for numbers that are not finite, which JSON lacks."""
    return value if value == value and abs(value) != float("inf") else None


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return finite(value)
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def nll_per_token(problem: Problem, candidates: list[list[Candidate]]) -> list[list[float]]:
    """−log π per token of P × n candidates, in nats, in the policy's own tokens (end of text included). For a text with
    more tokens than the policy has positions, the mean over those that fit. For one that is charged for tokens that
    are not read, the mean over all of them; nan where that is not known."""
    import torch

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
        [mean if c.tokens == n else _mean_charge(problem, c) for mean, n, c in zip(*rows, strict=True)]
        for rows in zip(means, read, candidates, strict=True)
    ]


def _mean_charge(problem: Problem, candidate: Candidate) -> float:
    """−log π per token by the candidate's own terms."""
    import torch

    tokens = torch.tensor([[float(candidate.tokens)]])
    for term in problem.terms:
        if term.policy_energy is not None and candidate.tokens:
            return candidate.terms[term.label] / float(term.policy_energy.per_nat(tokens)) / candidate.tokens
    return float("nan")


def build_results(problem: Problem, archives: Sequence[Archive], facts: dict[str, Any]) -> list[Result]:
    """One result per prompt.

    Args:
        problem: the problem of the run.
        archives: what was met, one per prompt.
        facts: the fields of `Result` that all prompts share.

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
    nll = nll_per_token(problem, [[a.starts[0], a.best[0]] for a in archives])
    rewards = {t.label for t in problem.terms if t.is_reward}
    results = []
    for p, archive in enumerate(archives):
        base, best = archive.starts[0], archive.best[0]
        pairs = {label: (base.terms[label], best.terms[label]) for label in best.terms}
        results.append(
            Result(
                prompt=Prompt.of(problem.prompts[p]),
                base_response=base.text,
                response=best.text,
                terms=pairs,
                rewards={k: (-v[0], -v[1]) for k, v in pairs.items() if k in rewards},
                energy=(base.energy, best.energy),
                nll_per_token=(nll[p][0], nll[p][1]),
                chains=[_chain(archive, start, problem.stopped[p].tolist()) for start in archive.starts],
                candidates=archive.best,
                **facts,
            )
        )
    return results


def _walls(problem: Problem, archive: Archive) -> list[str]:
    """Owners of the energies that are +inf where no text of the prompt has a finite energy."""
    best = archive.best[0]
    if best.energy < float("inf"):
        return []
    return [t.owner for t in problem.terms if best.terms[t.label] == float("inf")]


def _chain(archive: Archive, start: Candidate, stopped: list[bool]) -> dict[str, Any]:
    best = archive.by_chain[start.chain]
    return {
        "start": start.text,
        "start_energy": finite(start.energy),
        "response": best.text,
        "energy": finite(best.energy),
        "stopped": stopped[start.chain],
    }
