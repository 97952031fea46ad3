"""What a run leaves: for each prompt the answer it started from, the best one met, and everything else it saw."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from sea_toolkit.reporting.notebook import as_html, five_lines
from sea_toolkit.runs.archive import Candidate
from sea_toolkit.runs.explanation import TOP, AnswerToken, Explanation, explain
from sea_toolkit.runs.limit_readings import LimitReading
from sea_toolkit.util.conversation import Prompt


@dataclass(frozen=True, repr=False)
class Result:
    """The outcome for one prompt.

    Attributes:
        prompt: the user's last turn; a string with the conversation's `messages`.
        base_response: what the first chain started from: a sample of the policy, unless another initializer was
            chosen.
        response: the best text among all that were met, the starting texts included: one inside all limits comes before
            any outside, and among those inside (or as near) that of the lowest re-scored energy.
        terms: label → (before, after), unweighted, lower is better.
        rewards: label → (before, after) for the reward terms, as the reward model gives them.
        weights: label → weight at the end of the run; a reward with a negative weight is one to be lowered. That of a
            limit is 0: it comes before all weights.
        scales: label → what the term is divided by where that is not 1, which is in its weight already.
        energy: (before, after), with the weights at the end of the run; without limits.
        limits: label → what is allowed, and the answer's readings: see `LimitReading`.
        nll_per_token: (before, after), −log π per token in nats.
        chains: per chain its starting text, its best text, their energies, and whether it was stopped.
        candidates: distinct texts, best first (at most 256).
        finished: (before, after): whether the text ended by itself, rather than at the length limit.
        unmet: label → what the answer lacks of a limit or a wish, in words.
        medians: label → median over the starting texts, unweighted, of the reward terms as the reward model gives them.
        met: texts that were scored for this prompt.
        tokens: those of the first text and of the answer, end of text included, with log π of each; their sum is minus
            `nll_per_token` times their number, but for a text that is charged for tokens that nobody reads. With what
            each is worth to the rewards, where the run was asked to explain. None where a failure left no number.
        ledger: what the whole run spent, all prompts together.
        sampler, steps, status: which sampler ran how many steps; "done", "stopped" (by
            `max_seconds` or `should_stop`), "interrupted" or "failed".
        notes: whatever a person should know: of the run (stopped chains, observers that failed, a budget that paid for
            no step), then of this prompt (a reward that fell, an answer that stayed or was cut, an unmet wish).
    """

    prompt: Prompt
    base_response: str
    response: str
    terms: dict[str, tuple[float, float]]
    rewards: dict[str, tuple[float, float]]
    weights: dict[str, float]
    scales: dict[str, float]
    energy: tuple[float, float]
    limits: dict[str, LimitReading]
    nll_per_token: tuple[float, float]
    chains: list[dict[str, Any]]
    candidates: list[Candidate]
    finished: tuple[bool, bool]
    unmet: dict[str, str]
    medians: dict[str, float]
    met: int
    ledger: dict[str, Any]
    sampler: str
    law: str
    steps: int
    seed: int
    status: str
    notes: list[str]
    tokens: tuple[list[AnswerToken], list[AnswerToken]] | None = None

    def explain(self, top: int = TOP) -> Explanation:
        """Why this answer won: what each term has paid and gained, which one decided, and the texts that lost.

        Args:
            top: texts that are told of, at most.
        """
        return explain(self, top)

    @property
    def contributions(self) -> dict[str, float]:
        """Label → Δ(weight · term) in nats, after minus before: what each term has paid (above 0) or gained."""
        pairs = ((k, self.weights[k], before, after) for k, (before, after) in self.terms.items())
        return {k: weight * (after - before) if weight else 0.0 for k, weight, before, after in pairs}

    @property
    def kept(self) -> bool:
        """Whether the answer is inside all limits."""
        return all(reading.kept for reading in self.limits.values())

    @property
    def ended(self) -> int:
        """Candidates that ended by themselves."""
        return sum(c.finished for c in self.candidates)

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
            "scales": self.scales,
            "energy": pair(self.energy),
            "limits": {k: reading.to_dict() for k, reading in self.limits.items()},
            "nll_per_token": pair(self.nll_per_token),
            "contributions": {k: finite(v) for k, v in self.contributions.items()},
            "medians": {k: finite(v) for k, v in self.medians.items()},
            "finished": {"before": self.finished[0], "after": self.finished[1]},
            "candidates_finished": {"finished": self.ended, "of": len(self.candidates)},
            "unmet": self.unmet,
            "met": self.met,
            "sampler": self.sampler,
            "law": self.law,
            "steps": self.steps,
            "seed": self.seed,
            "status": self.status,
            "notes": self.notes,
            "chains": self.chains,
            "candidates": [{**asdict(c), "energy": finite(c.energy)} for c in self.candidates],
            "tokens": None
            if self.tokens is None
            else {
                when: [asdict(token) for token in tokens]
                for when, tokens in zip(("before", "after"), self.tokens, strict=True)
            },
            "ledger": self.ledger,
        }

    def to_json(self, indent: int | None = None) -> str:
        """JSON; numbers that are not finite become null."""
        return json.dumps(self.to_data(), ensure_ascii=False, indent=indent, allow_nan=False)

    def to_data(self) -> dict[str, Any]:
        """Plain data for JSON; numbers that are not finite are None."""
        data: dict[str, Any] = plain(self.to_dict())
        return data

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Result:
        """The result that `to_data` gave; a number that was not finite is +inf, or −inf for a reward."""
        values = {f.name: data[f.name] for f in fields(cls)}
        rewards = data["rewards"]
        return cls(
            **values
            | {
                "prompt": Prompt.of(data.get("messages", data["prompt"])),
                "terms": {k: _pair(v) for k, v in data["terms"].items()},
                "rewards": {k: _pair(v, -math.inf) for k, v in rewards.items()},
                "energy": _pair(data["energy"]),
                "limits": {k: LimitReading.from_dict(v) for k, v in data["limits"].items()},
                "nll_per_token": _pair(data["nll_per_token"]),
                "candidates": [_candidate(c) for c in data["candidates"]],
                "finished": (data["finished"]["before"], data["finished"]["after"]),
                "tokens": _tokens(data["tokens"]),
                "medians": {k: _number(v, -math.inf if k in rewards else math.inf) for k, v in data["medians"].items()},
            }
        )

    def __repr__(self) -> str:
        return five_lines(self.to_dict())

    def _repr_html_(self) -> str:
        """For a notebook: both answers with the words that differ, terms, candidates and notes."""
        return as_html(self.to_dict())


def _tokens(data: dict[str, list[dict[str, Any]]] | None) -> tuple[list[AnswerToken], list[AnswerToken]] | None:
    if data is None:
        return None
    before, after = ([AnswerToken.from_dict(token) for token in data[key]] for key in ("before", "after"))
    return before, after


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a run: `results` holds what there is, and the folder (if any) can be resumed."""

    def __init__(self, results: list[Result], message: str = "interrupted") -> None:
        super().__init__(message)
        self.results = results


def finite(value: float) -> float | None:
    """The same with None for numbers that are not finite, which JSON lacks."""
    return value if value == value and abs(value) != float("inf") else None


def _number(value: float | None, absent: float = math.inf) -> float:
    return absent if value is None else value


def _pair(values: dict[str, float | None], absent: float = math.inf) -> tuple[float, float]:
    return _number(values["before"], absent), _number(values["after"], absent)


def _candidate(data: dict[str, Any]) -> Candidate:
    terms, outside = ({k: _number(v) for k, v in data[key].items()} for key in ("terms", "violations"))
    return Candidate(**data | {"energy": _number(data["energy"]), "terms": terms, "violations": outside})


def plain(value: Any) -> Any:
    """The same for JSON: tuples as lists, None for numbers that are not finite."""
    if isinstance(value, float):
        return finite(value)
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value
