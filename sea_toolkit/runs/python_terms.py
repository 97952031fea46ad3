"""Terms given in Python, `reward=` and `energies=`: read and checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from torch import nn
from transformers import PreTrainedModel

from sea_toolkit.errors import PluginError, RecipeError, did_you_mean
from sea_toolkit.lm.adapted import without_wrapper
from sea_toolkit.problem.energy import Bindable, Energy, FunctionEnergy, as_energy
from sea_toolkit.registry.allowed import Allowed, is_url
from sea_toolkit.runs.own_models import ClassifierReward, ModuleEnergy, PairReward, PairScorer
from sea_toolkit.runs.term_values import (
    checked_weight,
    free_label,
    is_model_pair,
    is_number,
    label_of,
    number_in,
    of_pipeline,
    place_of,
    shown,
    split_pair,
)  # fmt: skip

Rewards: TypeAlias = str | Callable[..., Any] | Sequence[Any] | Mapping[str, Any]
"""What `reward=` takes: a name, a function, a module or a model; a list of those; or label → weight, reward or both."""

Energies: TypeAlias = Mapping[str, Any]
"""What `energies=` takes: label → an energy, (weight, energy), or a table of the recipe."""

_REWARD = 'a name, a function or a model; with a weight, {"label": (8.0, function)}'
_ENERGY = "(weight, function), a function, or a table of the recipe"


@dataclass
class PythonTerms:
    """What the arguments `reward` and `energies` ask for.

    Attributes:
        rewards: reward model → weight, for the recipe.
        tables: further terms of the recipe.
        own: terms that are objects.
    """

    rewards: dict[str, Any] = field(default_factory=dict)
    tables: list[dict[str, Any]] = field(default_factory=list)
    own: dict[str, tuple[Any, Energy]] = field(default_factory=dict)

    def allowed(self, code: Collection[str], network: Collection[str]) -> Allowed:
        """What the user lets the energies do: what is allowed by name, and servers that stand among the rewards."""
        named = [*self.rewards, *(str(table.get(key)) for table in self.tables for key in ("model", "url"))]
        return Allowed(code, [*network, *filter(is_url, named)])

    def add(self, label: str, weight: Any, energy: Energy) -> None:
        """Add a term that is an object."""
        self.own[label] = weight, energy


def read_terms(reward: Any = None, energies: Any = None) -> PythonTerms:  # anything may come: this is the check
    """Read the arguments `reward` (higher is better) and `energies` (lower is better).

    Args:
        reward: see `Rewards`.
        energies: see `Energies`.

    Raises:
        RecipeError: something that is no reward, energy or weight; two terms of one label.
    """
    terms = PythonTerms()
    for place, label, value in _listed(reward):
        _add_reward(terms, place, label, value)
    if energies is not None and not isinstance(energies, Mapping):
        raise RecipeError(
            f"energies is {shown(energies)}",
            expected="labels with energies",
            hint='energies={"short": function}, or energies={"length": {"target": 40}}',
        )
    for label, value in (energies or {}).items():
        place = place_of("energies", label)
        if label in terms.own:
            raise RecipeError(f"{place}: a reward has the label {label!r} too", hint="another label")
        _add_energy(terms, place, label, value)
    return terms


def _listed(reward: Any) -> list[tuple[str, str | None, Any]]:
    """Place, label and value of each reward."""
    if reward is None:
        return []
    if isinstance(reward, Mapping):
        return [(place_of("reward", label), label, value) for label, value in reward.items()]
    if isinstance(reward, list | tuple) and not (is_model_pair(reward) or is_number(reward[:1])):
        if len(reward) == 2 and is_number(reward[1:]):
            return [("reward", None, reward)]
        return [(f"reward[{i}]", None, value) for i, value in enumerate(reward)]
    return [("reward", None, reward)]


def _add_reward(terms: PythonTerms, place: str, label: str | None, value: Any) -> None:
    if label is not None and (is_number([value]) or (isinstance(value, Mapping) and "schedule" in value)):
        terms.rewards[label] = checked_weight(place, value)
        return
    weight, thing = split_pair(place, value, _REWARD)
    alone, thing = thing is value, _without_pipeline(place, thing)
    if isinstance(thing, str):
        _add_named(terms, place, label, weight, thing, alone=alone)
    elif isinstance(thing, Mapping) and isinstance(thing.get("model"), PreTrainedModel):
        table = {"weight": weight, **thing}
        model, own_weight = table.pop("model"), table.pop("weight")
        label = label or free_label(type(model).__name__, terms.own)
        terms.add(label, checked_weight(place, own_weight), _classifier(place, model, table, True))
    elif isinstance(thing, Mapping):
        table = dict(thing) if "name" in thing else {"name": "reward", "model": label, **thing}
        if table.get("model", "") is None:
            raise RecipeError(f"{place} names no model", expected='{"model": "…"}')
        terms.tables.append(_weighed(place, table, weight))
    elif isinstance(thing, Bindable) and not isinstance(thing, type):
        raise RecipeError(
            f"{place} is {shown(thing)}, an energy: lower is better",
            expected=_REWARD,
            hint=f'energies={{"{label or "label"}": (8.0, …)}}',
        )
    else:
        energy = _built(place, thing, _REWARD, is_reward=True)
        terms.add(label or free_label(label_of(thing), terms.own), checked_weight(place, weight), energy)


def _without_pipeline(place: str, thing: Any) -> Any:
    """A pipeline's model and tokenizer in its place, in a table too; and the model inside of a `PeftModel`."""
    if isinstance(thing, Mapping) and "model" in thing:
        if is_model_pair(pair := of_pipeline(thing["model"])):
            thing = {"tokenizer": pair[1], **thing, "model": pair[0]}
        return {**thing, "model": without_wrapper(thing["model"], place)}
    thing = without_wrapper(of_pipeline(thing), place)
    return (without_wrapper(thing[0], place), thing[1]) if is_model_pair(thing) else thing


def _add_named(terms: PythonTerms, place: str, label: str | None, weight: Any, name: str, *, alone: bool) -> None:
    """Add a reward by the name of its model; `alone`: no weight stands beside the name."""
    if label is not None and alone:
        number = number_in(name)
        raise RecipeError(
            f"{place} is the text {name!r}",
            expected=_REWARD,
            hint=f'{{"{label}": {number}}}' if number else f'{{"{label}": (8.0, "{name}")}}, or reward="{name}"',
        )
    before, equals, after = name.rpartition("=")
    if equals and number_in(after):
        raise RecipeError(
            f"{place} is the text {name!r}", expected=_REWARD, hint=f'reward={{"{before}": {number_in(after)}}}'
        )
    if label is None:
        terms.rewards[name] = checked_weight(place, weight)
    else:
        terms.tables.append({"name": "reward", "model": name, "label": label, "weight": checked_weight(place, weight)})


def _add_energy(terms: PythonTerms, place: str, label: str, value: Any) -> None:
    weight, thing = split_pair(place, value, _ENERGY)
    if isinstance(thing, Mapping):
        table = {**thing, "label": thing.get("label", label)} if "name" in thing else {"name": label, **thing}
        terms.tables.append(_weighed(place, table, weight if thing is not value else None))
        return
    energy = thing if isinstance(thing, Energy) else _built(place, thing, _ENERGY, is_reward=False)
    terms.add(label, checked_weight(place, weight), energy)


def _weighed(place: str, table: dict[str, Any], weight: Any) -> dict[str, Any]:
    """A table of the recipe with the weight that stood beside it, if one did."""
    if weight is None or (weight == 1.0 and "weight" in table):
        return table
    if "weight" in table:
        raise RecipeError(f"{place} has two weights, {weight!r} and {table['weight']!r}", expected="one")
    return {**table, "weight": checked_weight(place, weight)}


def _built(place: str, thing: Any, expected: str, *, is_reward: bool) -> Energy:
    """The energy of a function, a module, a model or an object with `bind`."""
    if isinstance(thing, type):
        raise RecipeError(f"{place} is the class {thing.__name__}", expected=f"an object: {thing.__name__}(…)")
    if is_model_pair(thing) or isinstance(thing, PreTrainedModel):
        model, tokenizer = thing if isinstance(thing, list | tuple) else (thing, None)
        return _classifier(place, model, {"tokenizer": tokenizer}, is_reward)
    try:
        if isinstance(thing, PairScorer):
            return PairReward(thing, is_reward=is_reward)
        if isinstance(thing, nn.Module):
            return ModuleEnergy(thing, is_reward=is_reward)
        if isinstance(thing, Bindable):
            return as_energy(thing, place)
        if callable(thing):
            return FunctionEnergy(thing, is_reward=is_reward, takes_columns=True)
    except PluginError as error:
        raise RecipeError(f"{place}: {error.got}", expected=error.expected, hint=error.hint) from error
    raise RecipeError(f"{place} is {shown(thing)}", expected=expected)


def _classifier(place: str, model: PreTrainedModel, options: Mapping[str, Any], is_reward: bool) -> Energy:
    if not is_reward:
        raise RecipeError(f"{place} is {shown(model)}, which gives a reward", hint="reward={…: (weight, model)}")
    if model.can_generate():
        raise RecipeError(
            f"{place} is {shown(model)}, a language model",
            expected="a model for sequence classification",
            hint='the energies "perplexity" and "judge" ask language models',
        )
    known = ("tokenizer", "output", "reads")
    for key in options:
        if key not in known:
            raise RecipeError(f"{place}: unknown option {key!r}", hint=did_you_mean(key, known))
    return ClassifierReward(model, **options)
