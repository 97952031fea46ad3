"""Every text that a sweep, or what it is compared with, has met for a prompt, each once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sea_toolkit.problem.problem import Problem
from sea_toolkit.runs.archive import Candidate
from sea_toolkit.runs.build_results import mean_charge
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
    """

    text: str
    terms: dict[str, float]
    tokens: int
    finished: bool
    nll_per_token: float | None
    where: str

    @classmethod
    def of(cls, candidate: Candidate, problem: Problem, where: str) -> Met:
        """A candidate of a run."""
        nll = finite(mean_charge(problem, candidate))
        return cls(candidate.text, candidate.terms, candidate.tokens, candidate.finished, nll, where)

    def to_row(self) -> dict[str, Any]:
        """Plain data for JSON, without `where`; a term that is not finite is null."""
        terms = {k: finite(v) for k, v in self.terms.items()}
        return {
            "text": self.text, "terms": terms, "tokens": self.tokens, "finished": self.finished,
            "nll_per_token": self.nll_per_token,
        }  # fmt: skip

    @classmethod
    def from_row(cls, data: dict[str, Any], where: str) -> Met:
        """What `to_row` gave."""
        terms = {k: math.inf if v is None else v for k, v in data["terms"].items()}
        return cls(**{**data, "terms": terms}, where=where)

    def keeps(self, limits: Iterable[str]) -> bool:
        """Whether it is inside of all limits, given by their labels: their terms are how far it is outside."""
        return all(self.terms[label] <= 0 for label in limits)

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

    def within(self, limits: Iterable[str]) -> list[Met]:
        """Those inside of all limits; all of them where there is none."""
        limits = list(limits)
        return [met for met in self.texts if met.keeps(limits)] or self.texts


def best_under(texts: list[Met], weights: Mapping[str, float]) -> Met:
    """The text of the lowest energy under these weights, the first one of equal ones."""
    return min(texts, key=lambda met: met.energy(weights))
