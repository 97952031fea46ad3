"""What a person should know of one prompt's outcome: a reward that fell, an answer that stayed or was cut, a wish that
is not met; each with what to change."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sea_toolkit.runs.archive import Candidate
from sea_toolkit.runs.explain import differences, name_of, weight_that_keeps
from sea_toolkit.util.wording import counted

FEW_STEPS = 5
"""Fewer steps than this tell nothing about a sampler's options."""

FEW_TEXTS = 4
"""Fewer texts than this may have the same reward by chance."""


@dataclass(frozen=True)
class Conduct:
    """How the run went, for all prompts.

    Attributes:
        sampler: its name.
        options: names of the sampler's options.
        steps: that were taken.
        budget: in samples per prompt; None if steps were asked for.
        spent: samples per prompt.
        chains: per prompt.
        length: most tokens of an answer.
        draws: the sampler draws its budget in answers; it takes rounds rather than steps.
        done: the run came to its end.
    """

    sampler: str
    options: Collection[str]
    steps: int
    budget: float | None
    spent: float
    chains: int
    length: int
    draws: bool
    done: bool

    @property
    def more(self) -> str:
        """What buys more steps."""
        return "more steps" if self.budget is None else f"a larger budget (it is {self.budget:g})"


def notes_on_budget(conduct: Conduct, cost: float | None) -> list[str]:
    """What became of the budget, the same for all prompts; `cost` is that of a step more, as far as is known."""
    budget = conduct.budget
    if budget is None or not conduct.done or conduct.draws:
        return []
    if conduct.steps == 0:
        dear = "" if cost is None else f", of which a step takes {cost:.1f}"
        fewer = ", or fewer chains," if conduct.chains > 1 else ""
        left = max(0.0, budget - conduct.spent)
        return [
            f"no step was taken: the starting texts left {left:.1f} of {budget:g} samples{dear}; "
            f"a larger budget{fewer} pays for some"
        ]
    if conduct.spent > 1.1 * budget:
        return [
            f"{conduct.spent:.1f} samples were spent, and the budget is {budget:g}: a step is dearer than it was known"
        ]
    return []


@dataclass(frozen=True)
class Outcome:
    """What one prompt's run has come to.

    Attributes:
        base: what the first chain started from.
        best: the text of the lowest energy.
        candidates: distinct texts, best first.
        met: texts that were scored.
        weights: label → weight.
        rewards: labels of the reward terms.
        unmet: label → what the best text lacks, in words.
        accepted: proposals accepted, all chains together; None where the sampler accepts or rejects nothing.
        moves: some chain still moves, from a text of a finite energy; else other notes say what stopped it.
    """

    base: Candidate
    best: Candidate
    candidates: Sequence[Candidate]
    met: int
    weights: Mapping[str, float]
    rewards: Collection[str]
    unmet: Mapping[str, str]
    accepted: int | None
    moves: bool

    @property
    def same(self) -> bool:
        """Whether the answer is the one that the run began with."""
        return (self.base.text, self.base.end_token) == (self.best.text, self.best.end_token)

    @property
    def all(self) -> list[Candidate]:
        """The candidates and the start, which may be too bad to be kept among them; those as near to all limits as the
        answer, which weights tell apart."""
        return [c for c in (*self.candidates, self.base) if c.violation == self.best.violation]

    @property
    def ended(self) -> int:
        """Candidates that ended by themselves."""
        return sum(c.finished for c in self.candidates)


def notes_on(outcome: Outcome, conduct: Conduct) -> list[str]:
    """All notes on one prompt's outcome."""
    fallen = [note for label in outcome.rewards for note in _fallen(outcome, label)]
    return [
        *_unchanged(outcome, conduct),
        *_constant(outcome),
        *fallen,
        *_unmet(outcome),
        *_cut(outcome, conduct),
    ]


def _unchanged(outcome: Outcome, conduct: Conduct) -> list[str]:
    if not conduct.done or not outcome.moves or (conduct.steps == 0 and not conduct.draws):
        return []
    head = "unchanged: " if outcome.same else ""
    if outcome.accepted == 0:
        steps = counted(conduct.steps, "step")
        rejected = f"{head}{conduct.sampler} rejected every proposal of all chains in {steps}: {_accepts_more(conduct)}"
        return [rejected if outcome.same else f"{rejected}; the answer is the best of those that were rejected"]
    if not outcome.same:
        return []
    who = "" if conduct.draws else f"{counted(conduct.steps, 'step')} met "
    if outcome.met <= 1:
        return [f"{head}{who or 'there was '}no other text; {conduct.more} meets some"]
    others = counted(outcome.met - 1, "other text")
    inside = " inside the limits" if outcome.best.violations else ""
    better = f"none of a lower energy{inside}"
    return [f"{head}{who}{others}, {better}; {conduct.more} meets more of them, larger weights tell more"]


def _accepts_more(conduct: Conduct) -> str:
    if conduct.steps < FEW_STEPS:
        return f"too few to tell why; {conduct.more} would tell"
    known = [name for name in ("step_size", "inverse_temperature") if name in conduct.options]
    return f"smaller {' or '.join([*known, 'weights'])} would accept more"


def _constant(outcome: Outcome) -> list[str]:
    """Rewards that tell no text from another: perhaps they read something else than they should."""
    number = len(outcome.candidates)
    values = {
        label: {c.terms[label] for c in outcome.candidates} for label in outcome.rewards if outcome.weights[label]
    }
    return [
        f"the reward {label} is {0.0 - next(iter(found)):g} for each of the best {number} texts: it decided nothing"
        for label, found in values.items()
        if outcome.moves and number >= FEW_TEXTS and len(found) == 1
    ]


def _fallen(outcome: Outcome, label: str) -> list[str]:
    """A reward that went the wrong way: who was paid for it, and the weight that would have kept it."""
    weight, base, best = outcome.weights[label], outcome.base.terms[label], outcome.best.terms[label]
    lost = weight * (best - base)
    if not lost > 1e-6 * max(1.0, abs(weight * base)):
        return []
    gains = {k: -v for k, v in differences(outcome.weights, outcome.base, outcome.best).items() if v < 0}
    paid = " and ".join(f"{name_of(k)} paid {v:.3g} nats" for k, v in list(gains.items())[:2])
    up = weight > 0
    kept = weight_that_keeps(outcome.all, outcome.weights, label, lambda t: t <= base if up else t >= base)
    turned = "" if kept is None else f"; a weight of about {kept:g} (it is {weight:g}) would have kept it"
    moved = (
        f"the reward {label} {'fell' if up else 'rose, though its weight is negative,'} from {-base:.3f} to {-best:.3f}"
    )
    if outcome.best.violation < outcome.base.violation:
        return [f"{moved}: the first answer is outside of a limit, and limits come first"]
    limit = f"a constraint with {'min' if up else 'max'} = {-base:.3g} asks for no {'less' if up else 'more'}"
    return [f"{moved}: {paid or 'the text is another one'} for it{turned}; {limit}"]


def _unmet(outcome: Outcome) -> list[str]:
    """A wish that the answer does not meet: the weight that would have met it, if any text did."""
    notes = []
    for label, what in outcome.unmet.items():
        if outcome.weights[label] <= 0:
            continue
        weight = weight_that_keeps(outcome.all, outcome.weights, label, lambda t: t <= 0.0)
        if weight is None:
            turned = "no text that was met does better; a larger budget meets more"
            if any(c.terms[label] < outcome.best.terms[label] for c in outcome.candidates):
                turned = "no text that was met has all of it"
        else:
            turned = f"a weight of about {weight:g} (it is {outcome.weights[label]:g}) would have met it"
        notes.append(f"unmet: {label}: {what}; {turned}")
    return notes


def _cut(outcome: Outcome, conduct: Conduct) -> list[str]:
    if outcome.best.finished:
        empty = not outcome.best.text.strip()
        return ["the answer is empty: it ends at once; the energy 'length' asks for a longer one"] if empty else []
    ended = f"{outcome.ended} of {len(outcome.candidates)} candidates ended by themselves"
    return [
        f"the answer is cut at {conduct.length} tokens, {ended}; a larger max_new_tokens leaves room, and the energy "
        "'finished' asks for an end"
    ]
