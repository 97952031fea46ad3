"""A recipe with flags laid over it: what the command line and Python arguments change in a file's recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sea_toolkit.errors import RecipeError, did_you_mean
from sea_toolkit.models.policy_spec import PolicySpec
from sea_toolkit.runs.recipe import Recipe


def build_recipe(
    recipe: Recipe | Mapping[str, Any] | str | Path | None,
    reward: Mapping[str, float] | str | None,
    settings: Mapping[str, Any],
    *,
    own_terms: bool = False,
) -> Recipe:
    """A recipe with flags laid over it; unset (None) flags change nothing.

    Raises:
        RecipeError: an unknown setting or a value that does not fit.
    """
    base = Recipe.load(recipe) if isinstance(recipe, str | Path) else recipe
    if not isinstance(base, Recipe):
        base = Recipe.parse(dict(base or {}))
    data: dict[str, Any] = base.model_dump(exclude_unset=True)
    if settings.get("steps") is not None and settings.get("budget") is not None:
        raise RecipeError(f"steps = {settings['steps']} and budget = {settings['budget']}", expected="one of them")
    for key, value in settings.items():
        if value is None:
            continue
        if key in ("chains", "steps", "budget"):
            data["sampler"] = {**data.get("sampler", {}), key: value}
            data["sampler"].pop({"steps": "budget", "budget": "steps"}.get(key, ""), None)
        elif key == "sampler":
            given, old = value if isinstance(value, Mapping) else {"name": value}, data.get("sampler", {})
            lengths = () if "steps" in given or "budget" in given else ("steps", "budget")
            same = old.get("name") == given.get("name")
            kept = {
                k: v for k, v in old.items() if k in ("chains", *lengths) or (same and k not in ("steps", "budget"))
            }
            data["sampler"] = {**kept, **given}
        elif key in PolicySpec.model_fields:
            data["policy"] = {**data.get("policy", {}), key: value}
        elif key == "draft":
            data["initializer"] = {"name": "draft", "text": value}
        elif key == "rewrite" and isinstance(value, int):
            data[key] = {**(data.get(key) or {}), "samples": value}
        elif key in Recipe.model_fields:
            data[key] = value
        else:
            known = ["chains", "steps", "budget", "sampler", "draft", *PolicySpec.model_fields]
            raise RecipeError(f"unknown setting {key!r}", hint=did_you_mean(key, [*known, *Recipe.model_fields]))
    rewards = {reward: 1.0} if isinstance(reward, str) else dict(reward or {})
    terms = list(data.get("energies", []))
    if (rewards or own_terms) and not any(t["name"] in ("reference", "sea-toolkit:reference") for t in terms):
        terms.insert(0, {"name": "reference"})
    for name, weight in rewards.items():
        same = [t for t in terms if t["name"] in ("reward", "sea-toolkit:reward") and t.get("model") == name]
        for term in same:
            term["weight"] = weight
        if not same:
            terms.append({"name": "reward", "model": name, "weight": weight})
    data["energies"] = terms
    return Recipe.parse(data)
