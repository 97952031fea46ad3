"""Every text that a sweep, or what it is compared with, has met for a prompt, each once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sea_toolkit.problem.problem import Problem
from sea_toolkit.runs.archive import Candidate
from sea_toolkit.runs.read_again import mean_charge
from sea_toolkit.runs.result import finite


@dataclass(frozen=True)
class Met:
    """A text that was met, re-scored.

    Attributes:
        text: as a person reads it.
        terms: label → unweighted term.
        tokens: of the re-tokenized text.
        finished: it ended by itself.
        nll_per_token: −log π per token of a run with the term `reference`, else None.
        where: the weights or the method under which it was met first.
        violation: how far it is outside of all limits, see `Candidate`; 0 inside.
    """

    text: str
    terms: dict[str, float]
    tokens: int
    finished: bool
    nll_per_token: float | None
    where: str
    violation: float = 0.0

    @classmethod
    def of(cls, candidate: Candidate, problem: Problem, where: str) -> Met:
        """A candidate of a run."""
        nll = finite(mean_charge(problem, candidate))
        return cls(
            candidate.text, candidate.terms, candidate.tokens, candidate.finished, nll, where, candidate.violation
        )  # fmt: skip

    def to_row(self) -> dict[str, Any]:
        """Plain data for JSON, without `where`; a term that is not finite is null."""
        terms = {k: finite(v) for k, v in self.terms.items()}
        return {
            "text": self.text, "terms": terms, "tokens": self.tokens, "finished": self.finished,
            "nll_per_token": self.nll_per_token, **({"violation": self.violation} if self.violation else {}),
        }  # fmt: skip

    @classmethod
    def from_row(cls, data: dict[str, Any], where: str) -> Met:
        """What `to_row` gave."""
        terms = {k: math.inf if v is None else v for k, v in data["terms"].items()}
        return cls(**{**data, "terms": terms}, where=where)

    def energy(self, weights: Mapping[str, float]) -> float:
        """Σ weight · term; a term of weight 0 counts nothing, whatever it is."""
        return sum(weight * self.terms[label] for label, weight in weights.items() if weight)


@dataclass
class Pool:
    """The texts of one prompt; of equal ones the first stays."""

    texts: list[Met] = field(default_factory=list)
    seen: set[tuple[str, bool]] = field(default_factory=set)

    def add(self, texts: Iterable[Met]) -> None:
        """Note more texts."""
        for met in texts:
            if (met.text, met.finished) not in self.seen:
                self.seen.add((met.text, met.finished))
                self.texts.append(met)

    @property
    def inside(self) -> list[Met]:
        """Those inside of all limits; where there is none, those that come nearest."""
        nearest = min((met.violation for met in self.texts), default=0.0)
        return [met for met in self.texts if met.violation <= nearest]


def best_under(texts: list[Met], weights: Mapping[str, float]) -> Met:
    """The text of the lowest energy under these weights, the first one of equal ones."""
    return min(texts, key=lambda met: met.energy(weights))
