"""Every text that a run has met, re-scored, the best first."""

from __future__ import annotations

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
        energy: Σ weight · term; lower is better.
        terms: label → unweighted term.
        tokens: of the re-tokenized text, the end-of-text token included.
        finished: whether the text ended by itself; `end_token` is what ended it, or −1.
        chain, step: where it was met; step −1 is a starting text.
    """

    text: str
    energy: float
    terms: dict[str, float]
    tokens: int
    finished: bool
    chain: int
    step: int
    end_token: int = -1


@dataclass
class Archive:
    """All candidates of one prompt, the best first; the starting texts are kept separately. With an energy over all
    chains of a prompt, `total` is that of the kept set of texts."""

    starts: list[Candidate] = field(default_factory=list)
    best: list[Candidate] = field(default_factory=list)
    by_chain: dict[int, Candidate] = field(default_factory=dict)
    seen: int = 0
    total: float = float("inf")

    def add(self, candidate: Candidate) -> None:
        """Note a candidate; of equal texts the first one stays."""
        self.seen += 1
        known = next((c for c in self.best if c.text == candidate.text and c.end_token == candidate.end_token), None)
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

    def add_set(self, chains: list[Candidate]) -> None:
        """Note one text per chain where an energy is over all chains: the set with the lowest total is kept whole."""
        self.seen += len(chains)
        if chains[0].step < 0:
            self.starts += chains
        total = sum(c.energy for c in chains)
        if total < self.total or not self.best:
            self.total, self.best = total, sorted(chains, key=lambda c: c.energy)
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
        self.seen, self.total = state["seen"], state["total"]


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
    ends, lengths = scored.ends.tolist(), scored.length.tolist()
    terms = {k: v.tolist() for k, v in scored.energies.terms.items()}
    forbidden = scored.energies.total.isposinf().tolist()
    for p, archive in enumerate(archives):
        chains = []
        for c, text in enumerate(scored.texts[p]):
            values = {k: v[p][c] for k, v in terms.items()}
            energy = float("inf") if forbidden[p][c] else sum(weights[p][k] * v for k, v in values.items())
            end = ends[p][c]
            chains.append(Candidate(text, energy, values, round(lengths[p][c]), end >= 0, c, step, end))
        if joint:
            archive.add_set(chains)
            continue
        for candidate in chains:
            if step < 0 or candidate.energy < float("inf"):
                archive.add(candidate)
