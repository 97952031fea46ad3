"""A recipe with flags laid over it: what the command line and Python arguments change in a file's recipe.

Flags are laid over plain data, which is checked at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sea_toolkit.errors import RecipeError, did_you_mean
from sea_toolkit.models.policy_spec import PolicySpec
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.registry.records import CORE
from sea_toolkit.runs.named_recipes import RecipeSource, read_recipe
from sea_toolkit.runs.named_rewards import REWARD
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.util.plain_data import assign

Table = str | Mapping[str, Any]
"""A plugin by name, or a table of the recipe: its name and options."""

_POLICY = tuple(PolicySpec.model_fields)
_LENGTHS = ("steps", "budget")


def build_recipe(
    recipe: RecipeSource | None = None,
    reward: Mapping[str, float] | str | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    own_terms: bool = False,
    terms: Iterable[Mapping[str, Any]] = (),
    assignments: Iterable[tuple[str, Any]] = (),
    hub: PluginHub | None = None,
) -> Recipe:
    """A recipe with flags laid over it; unset (None) flags are ignored.

    Args:
        recipe: what the others override; an empty one if None.
        reward: a reward model, or names with weights. Adds the reference term where it is missing.
        settings: keys of the recipe, of its `policy` or of its `sampler`, or `draft`.
        own_terms: terms in Python follow; the reference term is added where it is missing.
        terms: further terms; a reward of the recipe gets the weight and options of the one that is added.
        assignments: `sampler.step_size` and the like with their values, laid over everything else.
        hub: knows recipes by name; by default all plugins that are installed.

    Raises:
        RecipeError: an unknown setting, a value that does not fit, or as `read_recipe`.
    """
    values = {key: value for key, value in (settings or {}).items() if value is not None}
    terms, assignments = list(terms), list(assignments)
    if isinstance(recipe, Recipe) and not (reward or values or own_terms or terms or assignments):
        return recipe
    data = read_recipe({} if recipe is None else recipe, hub).model_dump(exclude_unset=True)
    if all(name in values for name in _LENGTHS):
        raise RecipeError(f"steps = {values['steps']} and budget = {values['budget']}", expected="one of them")
    for key, value in values.items():
        _lay(data, key, value)
    rewards = {reward: 1.0} if isinstance(reward, str) else reward or {}
    wanted = [{"name": REWARD[0], "model": name, "weight": weight} for name, weight in rewards.items()]
    _add_terms(data, [*wanted, *terms], own_terms)
    for number, (path, value) in enumerate(assignments):
        if any(path == other or other.startswith(f"{path}.") for other, _ in assignments[:number]):
            raise RecipeError(f"--set: {path} is there twice", expected="each key once")
        assign(data, path, value, "--set")
    return Recipe.parse(data)


def _lay(data: dict[str, Any], key: str, value: Any) -> None:
    """Lay one setting over the recipe's data."""
    if key in ("chains", *_LENGTHS):
        data["sampler"] = {**data.get("sampler", {}), key: value}
        data["sampler"].pop({"steps": "budget", "budget": "steps"}.get(key, ""), None)
    elif key == "sampler":
        data["sampler"] = _sampler(data.get("sampler", {}), value)
    elif key == "template_options":
        data["policy"] = {**data.get("policy", {}), key: {**data.get("policy", {}).get(key, {}), **value}}
    elif key in _POLICY:
        data["policy"] = {**data.get("policy", {}), key: value}
    elif key == "draft":
        data["initializer"] = {"name": "draft", "text": value}
    elif key in ("relaxation", "initializer") and isinstance(value, str):
        data[key] = {"name": value}
    elif key == "rewrite" and isinstance(value, int):
        data[key] = {**(data.get(key) or {}), "samples": value}
    elif key in Recipe.model_fields:
        data[key] = value
    else:
        known = ["chains", *_LENGTHS, "sampler", "draft", *_POLICY, *Recipe.model_fields]
        raise RecipeError(f"unknown setting {key!r}", hint=did_you_mean(key, known))


def _sampler(old: Mapping[str, Any], value: Any) -> dict[str, Any]:
    """Another sampler keeps chains and length; the same one keeps its options too."""
    new = value if isinstance(value, Mapping) else {"name": value}
    same = old.get("name") == new.get("name")
    lengths = () if any(name in new for name in _LENGTHS) else _LENGTHS
    kept = {k: v for k, v in old.items() if k in ("chains", *lengths) or (same and k not in _LENGTHS)}
    return {**kept, **new}


def _add_terms(data: dict[str, Any], wanted: Sequence[Mapping[str, Any]], own_terms: bool) -> None:
    """Add terms to the recipe's data, the reference too where it is missing; a reward that it has is changed."""
    terms = [dict(term) for term in data.get("energies", [])]
    if (wanted or own_terms) and not any(t["name"] in ("reference", f"{CORE}:reference") for t in terms):
        terms.insert(0, {"name": "reference"})
    of_recipe, seen = list(terms), list[dict[str, Any]]()
    for term in wanted:
        reward = {key: value for key, value in term.items() if key not in ("weight", "label")}
        if term["name"] in REWARD and reward in seen:
            raise RecipeError(f"the reward {term.get('model')!r} is given twice", expected="each reward once")
        seen.append(reward)
        same = [t for t in of_recipe if _is_same_reward(t, term)]
        for other in same:
            other.update({key: value for key, value in term.items() if key != "name"})
        if not same:
            terms.append(dict(term))
    data["energies"] = terms


def _is_same_reward(term: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a term of the recipe is the reward that is wanted: of that model, and of that output if it names one."""
    same_model = term.get("model") == wanted.get("model")
    return (
        term["name"] in REWARD
        and wanted["name"] in REWARD
        and same_model
        and wanted.get("output") in (None, term.get("output"))
    )
