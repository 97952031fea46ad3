"""Why an answer won: what each term says of it and of the others, in nats, and which term decided."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sea_toolkit.runs.archive import Candidate
from sea_toolkit.runs.explain import differences, name_of, reason
from sea_toolkit.util.wording import counted

if TYPE_CHECKING:
    from sea_toolkit.runs.result import Result

TOP = 8
"""Candidates that are shown."""


@dataclass(frozen=True)
class AnswerToken:
    """One token of an answer, as the policy reads the answer again.

    Attributes:
        text: what it writes; a token that writes a part of a character has U+FFFD, one that ends the text nothing.
        span: which bytes of the answer's UTF-8 form it writes: the first, and the one after the last.
        log_prob: log π of it in nats, given what stands before it. An answer is one text, so this is also, with the
            other sign, its own KL to the policy at this place.
        gains: label → nats by which it lowers the energy, compared with what the policy would write in its place;
            empty unless the run was asked to explain.
        kl: how far the rewards would move the policy at this place, to first order: KL(q ‖ π) in nats, with q the
            policy tilted by their slopes at the answer; None unless the run was asked to explain and a term has one.
    """

    text: str
    span: tuple[int, int]
    log_prob: float
    gains: dict[str, float] = field(default_factory=dict)
    kl: float | None = None

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> AnswerToken:
        """The token whose plain data this is; log π is −inf where it was not finite."""
        log_prob = -math.inf if data["log_prob"] is None else data["log_prob"]
        return cls(**data | {"span": tuple(data["span"]), "log_prob": log_prob})


@dataclass(frozen=True)
class TermShare:
    """What one term has paid or gained between the first text and the answer.

    Attributes:
        label: of the term.
        weight: at the end of the run; 0 of a limit.
        before, after: unweighted; of a reward as the reward model gives it.
        nats: weight · (after − before) of its energy: below 0 it is gained, above it is paid.
        is_reward: higher is better.
    """

    label: str
    weight: float
    before: float
    after: float
    nats: float
    is_reward: bool


@dataclass(frozen=True)
class Decision:
    """Why one text was taken and not another.

    Attributes:
        by: label of the term or the limit that weighed most for the text that was taken; None where they are equal.
        is_limit: it is a limit, which comes before all terms.
        nats: what it weighed; of a limit, how much farther outside the other text is, in standard deviations.
        alone: without it the other text would have been taken.
        why: the same in words.
    """

    by: str | None
    is_limit: bool
    nats: float
    alone: bool
    why: str

    @property
    def words(self) -> str:
        """What decided, and why."""
        if self.by is None:
            return self.why
        what = f"the limit {self.by}" if self.is_limit else name_of(self.by)
        return f"{what}{' alone' if self.alone else ''} decided ({self.why})"


@dataclass(frozen=True)
class CandidateShare:
    """One text that was met.

    Attributes:
        text: as it is read.
        energy: Σ weight · term; the `shares` add up to it.
        shares: label → weight · term, in nats.
        violations: label of a limit → how far outside, in standard deviations; 0 inside.
        chain, step: where it was met.
        decision: against the answer; None of the answer itself.
    """

    text: str
    energy: float
    shares: dict[str, float]
    violations: dict[str, float]
    chain: int
    step: int
    decision: Decision | None


@dataclass(frozen=True)
class Explanation:
    """Why an answer won; see `Result.explain`.

    Attributes:
        prompt, base_response, response: as in the result.
        terms: what each term has paid or gained, the largest first.
        limits: label → what is allowed and the answer's readings, plain data.
        runner_up: why the second text was not taken; None where only one was met.
        over_start: why the text that the run began with was not; None where it is the answer.
        candidates: the best texts that were met, best first.
        tokens: (of the first text, of the answer), see `Result`.
        same: the answer is the text that the run began with.
    """

    prompt: str
    base_response: str
    response: str
    terms: list[TermShare]
    limits: dict[str, dict[str, Any]]
    runner_up: Decision | None
    over_start: Decision | None
    candidates: list[CandidateShare]
    tokens: tuple[list[AnswerToken], list[AnswerToken]] | None
    same: bool

    def to_data(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def __str__(self) -> str:
        """The main points in a few lines."""
        lines = [f"{name_of(t.label)}: {t.before:.3f} → {t.after:.3f}, {t.nats:+.2f} nats" for t in self.terms]
        if self.same:
            lines.append("the answer is the text that the run began with")
        elif self.over_start is not None:
            lines.append(f"the first text: {self.over_start.why}")
        if self.runner_up is not None:
            lines.append(f"the second best of {counted(len(self.candidates), 'text')}: {self.runner_up.why}")
        return "\n".join(lines)


def explain(result: Result, top: int = TOP) -> Explanation:
    """Why the answer of a result won.

    Args:
        result: of one prompt.
        top: candidates that are told of, at most.
    """
    weights, best = result.weights, result.candidates[0]
    start = _start(result)
    terms = [
        TermShare(
            label,
            weights[label],
            *result.rewards.get(label, pair),
            result.contributions[label],
            label in result.rewards,
        )
        for label, pair in result.terms.items()
        if label not in result.limits
    ]
    others = [None, *(decide(weights, best, other) for other in result.candidates[1:top])]
    return Explanation(
        prompt=str(result.prompt),
        base_response=result.base_response,
        response=result.response,
        terms=sorted(terms, key=lambda t: -abs(t.nats)),
        limits={label: reading.to_dict() for label, reading in result.limits.items()},
        runner_up=others[1] if len(others) > 1 else None,
        over_start=None if start is None else decide(weights, best, start),
        candidates=[_share(weights, c, d) for c, d in zip(result.candidates[:top], others, strict=True)],
        tokens=result.tokens,
        same=start is None,
    )


def decide(weights: dict[str, float], chosen: Candidate, other: Candidate) -> Decision:
    """Which term or limit weighed most for the text that was taken."""
    why = reason(weights, chosen, other)
    farther = {k: v - chosen.violations[k] for k, v in other.violations.items() if v > chosen.violations[k]}
    if other.violation > chosen.violation:
        label = max(farther, key=lambda k: farther[k])
        return Decision(label, True, farther[label], farther[label] >= other.violation - chosen.violation, why)
    nats = differences(weights, chosen, other)
    against = {k: v for k, v in nats.items() if v > 0}
    if not against:
        return Decision(None, False, 0.0, False, why)
    label, most = next(iter(against.items()))  # the largest first
    return Decision(label, False, most, other.energy - chosen.energy - most < 0, why)


def _start(result: Result) -> Candidate | None:
    """The text that the run began with, as a candidate; None where it is the answer."""
    if result.base_response == result.response and result.finished[0] == result.finished[1]:
        return None
    before = {label: pair[0] for label, pair in result.terms.items()}
    outside = {label: reading.outside(reading.before) for label, reading in result.limits.items()}
    return Candidate(result.base_response, result.energy[0], before, 0, result.finished[0], 0, -1, violations=outside)


def _share(weights: dict[str, float], candidate: Candidate, decision: Decision | None) -> CandidateShare:
    shares = {k: weights[k] * v for k, v in candidate.terms.items() if weights[k]}
    return CandidateShare(
        candidate.text, candidate.energy, shares, candidate.violations, candidate.chain, candidate.step, decision
    )
