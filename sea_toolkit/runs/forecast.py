"""What a recipe will be and cost, from configs and tokenizers alone: no weights are read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.problem.outlook import ROADS, Outlook
from sea_toolkit.runs.automatic import choice
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.contradictions import contradictions
from sea_toolkit.runs.length import Length
from sea_toolkit.runs.less_memory import asked_limit
from sea_toolkit.runs.memory_forecast import Memory, memory_of
from sea_toolkit.runs.parts import Part
from sea_toolkit.runs.rehearsal import STEPS, rehearse
from sea_toolkit.runs.requirements import TermFacts
from sea_toolkit.runs.resolved import resolved
from sea_toolkit.runs.result import finite


@dataclass(frozen=True)
class TermForecast:
    """One term of the energy.

    Attributes:
        label: its name in results.
        energy: the plugin, as `distribution:name`.
        gradient: whether it has one; None: known when it is bound.
        road: how the gradient comes, in words.
        models: what it runs beside the policy, by their names in the ledger; None: that is not known.
    """

    label: str
    energy: str
    gradient: bool | None
    road: str
    models: list[str] | None


@dataclass(frozen=True)
class Forecast:
    """What `recipe check` shows.

    Attributes:
        recipe: with all defaults.
        sampler: its name; `why`: what has chosen it.
        terms: one for each term of the energy.
        contradictions: a sentence each.
        prompts, prompt_tokens: that the forecast is for; the tokens without the template's.
        sample_flops: of a base sample: an answer drawn and scored once.
        start: base samples per prompt until the first step.
        per_step: base samples per prompt of a step, mean.
        steps: that the run will take.
        samples: per prompt, in the whole run.
        flops: of the whole run for all prompts, which are read once.
        memory: with all prompts at once.
        notes: what limits the forecast.
    """

    recipe: dict[str, Any]
    sampler: str
    why: str
    terms: list[TermForecast]
    contradictions: list[str]
    prompts: int
    prompt_tokens: int
    sample_flops: float
    start: float
    per_step: float | None
    steps: int
    samples: float
    flops: float
    memory: Memory
    notes: list[str]

    @property
    def flops_per_step(self) -> float | None:
        """Of a step for all prompts."""
        return None if self.per_step is None else self.per_step * self.sample_flops * self.prompts

    def to_dict(self) -> dict[str, Any]:
        """Plain data; numbers that are not finite are None."""
        data = asdict(self) | {"flops_per_step": self.flops_per_step}
        return {key: finite(value) if isinstance(value, float) else value for key, value in data.items()}


def forecast(
    composition: Composition,
    finder: ModelFinder,
    prompts: int = 1,
    prompt_tokens: int = 24,
    memory_limit: str | int | None = None,
) -> Forecast:
    """Look ahead at a run of a recipe.

    Args:
        composition: of the recipe, not bound.
        finder: from names to models.
        prompts: how many the run will have.
        prompt_tokens: about how long each of them is, without the template.
        memory_limit: as of `Session`.

    Raises:
        RecipeError, ModelError, PluginError: as `rehearse`; the models take more than the limit.
    """
    stage = rehearse(composition, finder, prompt_tokens)
    problem, (spent, held) = stage.problem, stage.steps()
    cost = _Cost.of(spent, stage.composition.length, spends_all=not stage.composition.joint)
    terms = [_term(part, outlook) for part, outlook in zip(composition.parts, stage.outlooks, strict=True)]
    facts = [TermFacts.bound(term, joint=False) for term in problem.terms]
    memory = memory_of(stage, held, prompts, asked_limit(memory_limit))
    chosen = choice(composition.recipe, facts)
    assert chosen is not None
    return Forecast(
        recipe=resolved(stage.composition, problem, stage.place),
        sampler=chosen.sampler,
        why=chosen.why,
        terms=terms,
        contradictions=contradictions(composition.recipe, composition.parts, stage.outlooks),
        prompts=prompts,
        prompt_tokens=prompt_tokens,
        sample_flops=problem.sample_flops,
        start=spent[0],
        per_step=cost.per_step,
        steps=cost.steps,
        samples=cost.samples,
        flops=prompts * (problem.ledger.flops_before + cost.samples * problem.sample_flops),
        memory=memory,
        notes=[*_notes(terms), *(f"the memory of a pass of {name} is not foreseen" for name in memory.unknown)],
    )


def as_it_would_run(composition: Composition, finder: ModelFinder) -> dict[str, Any]:
    """The recipe with all that a run would settle: its sampler, its numbers, the device.

    Args:
        composition: of the recipe, not bound.
        finder: from names to models.

    Raises:
        RecipeError, ModelError, PluginError: as `rehearse`.
    """
    stage = rehearse(composition, finder, prompt_tokens=1)
    return resolved(stage.composition, stage.problem, stage.place)


def _term(part: Part, outlook: Outlook) -> TermForecast:
    models = None if outlook.models is None else [model.name for model in outlook.models]
    return TermForecast(part.label, part.qualified, outlook.has_gradient, ROADS[outlook.road], models)


@dataclass(frozen=True)
class _Cost:
    """Samples per prompt of a step and of the whole run, and how many steps it has."""

    per_step: float | None
    steps: int
    samples: float

    @classmethod
    def of(cls, spent: Sequence[float], length: Length, *, spends_all: bool) -> _Cost:
        """From what was spent after the start and after each step that was rehearsed."""
        taken = len(spent) - 1
        if taken == 0:
            return cls(None, 0, max(spent[0], length.budget or 0.0) if spends_all else spent[0])
        each = (spent[-1] - spent[0]) / taken
        if length.steps is not None:
            return cls(each, length.steps, spent[0] + length.steps * each)
        assert length.budget is not None
        # a run ends before the step that it cannot pay for, and spends the rest on answers of the policy
        more = 0 if taken < STEPS else max(0, math.floor((length.budget - spent[-1]) / each)) if each else 0
        whole = max(spent[-1], length.budget) if spends_all else spent[-1] + more * each
        return cls(each, taken + more, whole)


def _notes(terms: Sequence[TermForecast]) -> list[str]:
    """What limits the forecast."""
    silent = [t.label for t in terms if t.models is None]
    lines = [f"{label} does not tell its models before it is bound: their cost is left out" for label in silent]
    lines += [
        f"{t.label} tells only when it is bound whether it has a gradient: here it is taken to have one"
        for t in terms
        if t.gradient is None
    ]
    return [*lines, "answers are taken to be of full length: those that end early cost less"]
