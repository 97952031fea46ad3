"""Choosing one text of a front: at its knee, for given weights, or inside of conditions."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sea_toolkit.errors import RecipeError, did_you_mean
from sea_toolkit.evaluation.front_geometry import knee
from sea_toolkit.evaluation.front_numbers import FrontNumbers, MethodFront
from sea_toolkit.evaluation.objectives import Objective, points_of
from sea_toolkit.evaluation.pools import Met, best_under
from sea_toolkit.evaluation.weight_designs import Weights, weights_of, written
from sea_toolkit.runs.result import plain

KNEE = "knee"

_CONDITION = re.compile(r"\s*(?P<label>.+?)\s*(?P<sign><=|>=|≤|≥|<|>)\s*(?P<number>[^<>=≤≥]+?)\s*")


@dataclass(frozen=True)
class Condition:
    """What an objective has to be, as it is shown.

    Attributes:
        label: of the objective.
        at_most: it has to be at most this, else at least.
        number: the bound.
    """

    label: str
    at_most: bool
    number: float

    def __str__(self) -> str:
        return f"{self.label} {'<=' if self.at_most else '>='} {self.number:g}"

    def holds(self, value: float) -> bool:
        """For a value."""
        return value <= self.number if self.at_most else value >= self.number

    def missing(self, value: float) -> float:
        """How far a value is from it."""
        return max(0.0, value - self.number if self.at_most else self.number - value)


@dataclass(frozen=True)
class Rule:
    """How a text is picked: among those that hold all conditions the one at the knee of the front, or else the one of
    the lowest energy for the weights.

    Attributes:
        conditions: all of which have to hold.
        weights: None for the knee.
    """

    conditions: tuple[Condition, ...]
    weights: Weights | None

    def __str__(self) -> str:
        by = "at the knee" if self.weights is None else f"best for the weights {written(self.weights)}"
        return " and ".join([*map(str, self.conditions), by])


@dataclass(frozen=True)
class Pick:
    """The text that was picked for a prompt.

    Attributes:
        prompt: whose.
        text: None where no text that was met holds the conditions.
        values: label → objective, as it is shown; of the nearest text where none was picked.
        where: the weights under which the text was met, or `base` for an answer of the policy.
        finished: it ended by itself.
        nll_per_token: −log π per token, if a term is the reference.
        note: "" or why there is no text.
    """

    prompt: str
    text: str | None
    values: dict[str, float]
    where: str
    finished: bool
    nll_per_token: float | None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data; numbers that are not finite are None."""
        data: dict[str, Any] = plain(dict(vars(self)))
        return data


def read_rule(asked: Iterable[Any], labels: Sequence[str]) -> Rule:  # anything may come: this is the check
    """The rule of several words: `knee`, weights (`1,2`), and conditions (`toxicity <= -4`), which are joined.

    Args:
        asked: the words. Without `knee` and weights, all objectives count the same.
        labels: of the objectives, in the order of the weights.

    Raises:
        RecipeError: something else, an unknown objective, knee and weights together, or conditions that exclude each
            other.
    """
    conditions, ways = [], list[Weights | None]()
    for one in [asked] if isinstance(asked, str) else asked:
        matched = _CONDITION.fullmatch(one) if isinstance(one, str) else None
        if matched is not None:
            conditions.append(_condition(matched, str(one), labels))
        elif isinstance(one, str) and one.strip().lower() == KNEE:
            ways.append(None)
        else:
            ways.append(_weights(one, labels))
    if len(ways) > 1:
        raise RecipeError("two ways to pick one text", expected="the knee or weights, and conditions beside it")
    _refuse_contradiction(conditions)
    return Rule(tuple(conditions), ways[0] if ways else (1.0 / len(labels),) * len(labels))


def _condition(matched: re.Match[str], text: str, labels: Sequence[str]) -> Condition:
    label, sign = matched["label"], matched["sign"]
    try:
        number = float(matched["number"].replace("−", "-"))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RecipeError(f"pick {text!r}", expected="LABEL <= NUMBER or LABEL >= NUMBER")
    if label not in labels:
        raise RecipeError(
            f"pick {text!r}: {label!r} is no objective",
            expected=f"one of {', '.join(labels)}",
            hint=did_you_mean(label, labels),
        )
    return Condition(label, sign in ("<=", "<", "≤"), number)


def _weights(one: Any, labels: Sequence[str]) -> Weights:
    try:
        return weights_of(one, len(labels))
    except RecipeError as error:
        raise RecipeError(
            f"pick: {error.got}",
            expected=f'knee, a condition such as "{labels[0]} >= 1", or a weight for each of {", ".join(labels)}',
        ) from error


def _refuse_contradiction(conditions: Sequence[Condition]) -> None:
    for upper in (c for c in conditions if c.at_most):
        for lower in (c for c in conditions if not c.at_most and c.label == upper.label):
            if lower.number > upper.number:
                raise RecipeError(f"pick: {lower} and {upper} exclude each other", expected="one of them")


def picks(numbers: FrontNumbers, prompts: Sequence[str], rule: Rule, method: str, strength: float) -> list[Pick]:
    """The text of each finished prompt.

    Args:
        numbers: of the sweep.
        prompts: all that were asked for.
        rule: how to pick.
        method: whose texts.
        strength: nats for each unit of an objective.
    """
    found = []
    for place, fronts, weights in zip(numbers.places, numbers.fronts, numbers.weights, strict=True):
        found.append(_pick(prompts[place], fronts[method], numbers.objectives, weights[0], rule, strength))
    return found


def _pick(
    prompt: str,
    front: MethodFront,
    objectives: Sequence[Objective],
    others: Mapping[str, float],
    rule: Rule,
    strength: float,
) -> Pick:
    by_label = {o.label: o for o in objectives}

    def shown(met: Met) -> dict[str, float]:
        return {label: o.shown(met.terms[label]) for label, o in by_label.items()}

    holding = [met for met in front.texts if all(c.holds(shown(met)[c.label]) for c in rule.conditions)]
    if not holding:
        # in units, so that conditions on several objectives can be added
        nearest = min(
            front.texts,
            key=lambda met: sum(c.missing(shown(met)[c.label]) / by_label[c.label].unit for c in rule.conditions),
        )
        has = ", ".join(f"{c.label} {shown(nearest)[c.label]:.4g}" for c in rule.conditions)
        note = f"no text that was met has {' and '.join(map(str, rule.conditions))}; the nearest has {has}"
        return Pick(str(prompt), None, shown(nearest), nearest.where, nearest.finished, nearest.nll_per_token, note)
    if rule.weights is None:
        chosen = holding[knee(points_of(objectives, (met.terms for met in holding)))]
    else:
        own = {o.label: o.weight(share, strength) for o, share in zip(objectives, rule.weights, strict=True)}
        chosen = best_under(holding, {**others, **own})
    return Pick(str(prompt), chosen.text, shown(chosen), chosen.where, chosen.finished, chosen.nll_per_token)
