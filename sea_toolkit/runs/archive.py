"""Every text that a run has met, re-scored, the best first: inside all limits, and then of the lowest energy."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sea_toolkit.problem.scores import Scored

KEEP = 256
"""Distinct candidates kept per prompt."""


@dataclass(frozen=True)
class Candidate:
    """One text as a person reads it, re-scored.

    Attributes:
        energy: Σ weight · term, without limits; lower is better.
        terms: label → unweighted term.
        tokens: of the re-tokenized text, the end-of-text token included.
        finished: whether the text ended by itself; `end_token` is what ended it, or −1.
        chain, step: where it was met; step −1 is a starting text.
        violations: label of a limit → how far outside of it the text is, in standard deviations of the run's first
            texts; 0 inside.
    """

    text: str
    energy: float
    terms: dict[str, float]
    tokens: int
    finished: bool
    chain: int
    step: int
    end_token: int = -1
    violations: dict[str, float] = field(default_factory=dict)

    @property
    def violation(self) -> float:
        """How far outside of all limits together; 0 inside."""
        return sum(self.violations.values())

    @property
    def rank(self) -> tuple[bool, float, float]:
        """Smaller is better: a finite energy first, then the nearest to all limits, then the lowest energy."""
        return self.energy == float("inf"), self.violation, self.energy


@dataclass
class Archive:
    """All candidates of one prompt, the best first; the starting texts are kept separately. With an energy over all
    chains of a prompt, `total` is the summed rank of the kept set of texts."""

    starts: list[Candidate] = field(default_factory=list)
    best: list[Candidate] = field(default_factory=list)
    by_chain: dict[int, Candidate] = field(default_factory=dict)
    seen: int = 0
    total: tuple[float, ...] = (float("inf"),)

    def add(self, candidate: Candidate) -> None:
        """Note a candidate; of equal texts the first one stays."""
        self.seen += 1
        known = next((c for c in self.best if c.text == candidate.text and c.end_token == candidate.end_token), None)
        if known is not None:  # a second reading differs by rounding only
            candidate = replace(candidate, energy=known.energy, terms=known.terms, violations=known.violations)
        if candidate.step < 0:
            self.starts.append(candidate)
        best = self.by_chain.get(candidate.chain)
        if best is None or candidate.rank < best.rank:
            self.by_chain[candidate.chain] = candidate
        full = len(self.best) >= KEEP
        if known is not None or (full and candidate.rank >= self.best[-1].rank):
            return
        self.best.insert(bisect.bisect_right(self.best, candidate.rank, key=lambda c: c.rank), candidate)
        del self.best[KEEP:]

    def add_set(self, chains: list[Candidate]) -> None:
        """Note one text per chain where an energy is over all chains: the set with the best total is kept whole."""
        self.seen += len(chains)
        if chains[0].step < 0:
            self.starts += chains
        total = tuple(sum(numbers) for numbers in zip(*(c.rank for c in chains), strict=True))
        if total < self.total or not self.best:
            self.total, self.best = total, sorted(chains, key=lambda c: c.rank)
            self.by_chain = {c.chain: c for c in chains}

    def state(self) -> dict[str, Any]:
        """A copy; candidates themselves never change."""
        by_chain = {str(chain): candidate for chain, candidate in self.by_chain.items()}
        return {
            "starts": list(self.starts),
            "best": list(self.best),
            "by_chain": by_chain,
            "seen": self.seen,
            "total": self.total,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.starts = [_candidate(c) for c in state["starts"]]
        self.best = [_candidate(c) for c in state["best"]]
        self.by_chain = {int(chain): _candidate(c) for chain, c in state["by_chain"].items()}
        self.seen, self.total = state["seen"], tuple(state["total"])


def _candidate(state: Candidate | dict[str, Any]) -> Candidate:
    """From memory, or from a checkpoint."""
    return state if isinstance(state, Candidate) else Candidate(**state)


class Archives(list[Archive]):
    """The archives of a run, one per prompt, as one part of it."""

    def state(self) -> list[dict[str, Any]]:
        """For a checkpoint."""
        return [archive.state() for archive in self]

    def load_state(self, state: list[dict[str, Any]]) -> None:
        for archive, own in zip(self, state, strict=True):
            archive.load_state(own)


def candidates_of(scored: Scored, step: int, weights: Sequence[Mapping[str, float]]) -> list[list[Candidate]]:
    """The scored responses of a step, `P × C`; the energy of a text that is forbidden is +inf.

    Args:
        scored: what was met.
        step: −1 for the starting texts.
        weights: for each prompt label → weight.
    """
    ends, lengths = scored.ends.tolist(), scored.length.tolist()
    terms = {k: v.tolist() for k, v in scored.energies.terms.items()}
    violations = {k: v.tolist() for k, v in scored.violations.items()}
    forbidden = scored.energies.total.isposinf().tolist()
    rows = []
    for p, texts in enumerate(scored.texts):
        chains = []
        for c, text in enumerate(texts):
            values = {k: v[p][c] for k, v in terms.items()}
            weighted = (weight * values[k] for k, weight in weights[p].items() if weight)
            energy = float("inf") if forbidden[p][c] else sum(weighted)
            end = ends[p][c]
            outside = {k: v[p][c] for k, v in violations.items()}
            chains.append(Candidate(text, energy, values, round(lengths[p][c]), end >= 0, c, step, end, outside))
        rows.append(chains)
    return rows


def record(
    archives: list[Archive],
    scored: Scored,
    step: int,
    weights: Sequence[Mapping[str, float]],
    *,
    joint: bool = False,
) -> None:
    """Add the scored responses of a step to their prompts' archives; texts of energy +inf are not candidates.

    Args:
        archives: one per prompt.
        scored: what the sampler met.
        step: −1 for the starting texts.
        weights: for each prompt label → weight at the end of the run: where weights follow a schedule, energies of
            different steps are compared by the weights that the user arrives at.
        joint: an energy is over all chains of a prompt, so that texts of different steps cannot be mixed.
    """
    for archive, chains in zip(archives, candidates_of(scored, step, weights), strict=True):
        if joint:
            archive.add_set(chains)
            continue
        for candidate in chains:
            if step < 0 or candidate.energy < float("inf"):
                archive.add(candidate)
