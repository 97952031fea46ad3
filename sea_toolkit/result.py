"""What a run leaves: for each prompt the answer it started from, the best one met, and everything else it saw."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sea_toolkit.problem import Problem, Scored

KEEP = 256
"""Distinct candidates kept per prompt."""


@dataclass(frozen=True)
class Candidate:
    """One text as a person reads it, re-scored.

    Attributes:
        energy: Σ weight · term; lower is better.
        terms: label → unweighted term.
        tokens: of the re-tokenized text, the end-of-text token included.
        finished: whether the text ended by itself.
        chain, step: where it was met; step −1 is a starting text.
    """

    text: str
    energy: float
    terms: dict[str, float]
    tokens: int
    finished: bool
    chain: int
    step: int


@dataclass
class Archive:
    """All candidates of one prompt, the best first; the starting texts apart."""

    starts: list[Candidate] = field(default_factory=list)
    best: list[Candidate] = field(default_factory=list)
    by_chain: dict[int, Candidate] = field(default_factory=dict)
    seen: int = 0

    def add(self, candidate: Candidate) -> None:
        """Note a candidate; of equal texts the first one stays."""
        self.seen += 1
        known = next((c for c in self.best if c.text == candidate.text and c.finished == candidate.finished), None)
        if known is not None:  # a second reading differs by rounding only
            candidate = replace(candidate, energy=known.energy, terms=known.terms)
        if candidate.step < 0:
            self.starts.append(candidate)
        best = self.by_chain.get(candidate.chain)
        if best is None or candidate.energy < best.energy:
            self.by_chain[candidate.chain] = candidate
        full = len(self.best) >= KEEP
        if known is not None or (full and candidate.energy >= self.best[-1].energy):
            return
        place = next((i for i, c in enumerate(self.best) if candidate.energy < c.energy), len(self.best))
        self.best.insert(place, candidate)
        del self.best[KEEP:]

    def state(self) -> dict[str, Any]:
        return {
            "starts": [asdict(c) for c in self.starts],
            "best": [asdict(c) for c in self.best],
            "by_chain": {str(k): asdict(c) for k, c in self.by_chain.items()},
            "seen": self.seen,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Archive:
        return cls(
            [Candidate(**c) for c in state["starts"]],
            [Candidate(**c) for c in state["best"]],
            {int(k): Candidate(**c) for k, c in state["by_chain"].items()},
            state["seen"],
        )


def record(archives: list[Archive], scored: Scored, step: int, weights: dict[str, float]) -> None:
    """Add the scored responses of a step to their prompts' archives; texts of energy +inf are not candidates.

    Args:
        archives: one per prompt.
        scored: what the sampler met.
        step: −1 for the starting texts.
        weights: label → weight at the end of the run: where weights follow a schedule, energies of different steps
            are compared by the weights that the user arrives at.
    """
    finished, lengths = scored.finished.tolist(), scored.length.tolist()
    terms = {k: v.tolist() for k, v in scored.energies.terms.items()}
    forbidden = scored.energies.total.isposinf().tolist()
    for p, archive in enumerate(archives):
        for c, text in enumerate(scored.texts[p]):
            if forbidden[p][c] and step >= 0:
                continue
            values = {k: v[p][c] for k, v in terms.items()}
            energy = float("inf") if forbidden[p][c] else sum(weights[k] * v for k, v in values.items())
            archive.add(Candidate(text, energy, values, round(lengths[p][c]), finished[p][c], c, step))


@dataclass(frozen=True)
class Result:
    """The outcome for one prompt.

    Attributes:
        base_response: what the first chain started from: a sample of the policy, unless another initializer was
            chosen.
        response: the text of the lowest re-scored energy among all that were met, the starting texts included.
        terms: label → (before, after), unweighted, lower is better.
        rewards: label → (before, after) for the reward terms, higher is better.
        energy: (before, after), with the weights at the end of the run.
        nll_per_token: (before, after), −log π per token in nats.
        chains: per chain its starting text, its best text, their energies, and whether it was stopped.
        candidates: distinct texts, best first (at most 256).
        ledger: what the whole run spent, all prompts together.
        sampler, steps, status: which sampler ran how many steps; "done", "interrupted" or "failed".
        notes: whatever a person should know: stopped chains, observers that failed, probes that fit only nearly.
    """

    prompt: str
    base_response: str
    response: str
    terms: dict[str, tuple[float, float]]
    rewards: dict[str, tuple[float, float]]
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
            "prompt": self.prompt,
            "base_response": self.base_response,
            "response": self.response,
            "terms": {k: pair(v) for k, v in self.terms.items()},
            "rewards": {k: pair(v) for k, v in self.rewards.items()},
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


def finite(value: float) -> float | None:
    """JSON has no infinities."""
    return value if value == value and abs(value) != float("inf") else None


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return finite(value)
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def nll_per_token(problem: Problem, candidates: list[list[Candidate]]) -> list[list[float]]:
    """−log π per token of P × n candidates, in nats, in the policy's own words (end of text included)."""
    import torch

    finished = torch.tensor([[c.finished for c in row] for row in candidates])
    response = problem.policy.from_text([[c.text for c in row] for row in candidates], finished)
    log_prob = problem.policy.log_prob(problem.prefix, response.ids)
    total = torch.where(response.alive > 0, log_prob, 0.0).sum(-1)
    return (-total / response.expected_length().clamp(min=1.0)).tolist()
