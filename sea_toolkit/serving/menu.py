"""What a server offers: one model, recipes by name, and what a request may add to them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sea_toolkit.errors import RecipeError, did_you_mean
from sea_toolkit.models.hf_hub import is_hub_id
from sea_toolkit.runs.named_rewards import REWARD
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.serving.errors import ApiError, refused
from sea_toolkit.serving.limits import Limits

OPEN: Mapping[str, frozenset[str]] = {
    "distance-to-draft": frozenset({"text"}),
    "finished": frozenset(),
    "keywords": frozenset({"words", "forbidden"}),
    "length": frozenset({"target", "tolerance"}),
    "regex": frozenset({"pattern", "mode", "at_least", "at_most"}),
    "repetition": frozenset({"n"}),
}
"""Energies that any request may add, and their options: numbers and texts that name no file, model, server or code."""


@dataclass(frozen=True)
class Menu:
    """What may be ordered.

    Args:
        model: the name of the policy, for clients.
        recipes: name → recipe, all with the same policy; the first is used where a request names none.
        rewards: further reward models that requests may name, beside those of the recipes.
        energies: further energies; their options, names of files included, then come from requests.
        limits: of requests.

    Raises:
        RecipeError: no recipe, or recipes with several policies.
    """

    model: str
    recipes: Mapping[str, Recipe]
    rewards: Collection[str] = ()
    energies: Collection[str] = ()
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not self.recipes:
            raise RecipeError("a server without a recipe", expected="one at least")
        first, policy = next((name, recipe.policy) for name, recipe in self.recipes.items())
        for name, recipe in self.recipes.items():
            if recipe.policy != policy:
                raise RecipeError(
                    f"the recipes {first!r} and {name!r} have policies of their own",
                    expected="the same policy: a server has one in memory",
                    hint="--model and the other options of the policy override those of all recipes",
                )

    @property
    def default(self) -> str:
        """The recipe of a request that names none."""
        return next(iter(self.recipes))

    @property
    def models(self) -> list[str]:
        """What a request may name as its model: the policy, or the policy with a recipe."""
        return [self.model, *(f"{self.model}+{name}" for name in self.recipes)]

    def recipe_of(self, model: str, named: str | None) -> Recipe:
        """The recipe that a request asks for.

        Raises:
            ApiError: there is no such model (404) or recipe, or two different recipes are named.
        """
        if model not in self.models:
            raise not_found(model, self.models)
        of_model = model.removeprefix(self.model).removeprefix("+") or None
        if named is not None and of_model not in (None, named):
            raise refused(f"the model names the recipe {of_model!r}, and sea.recipe {named!r}", "sea.recipe")
        name = named or of_model or self.default
        if name not in self.recipes:
            raise refused(
                f"there is no recipe {name!r} on this server ({did_you_mean(name, self.recipes)})", "sea.recipe"
            )
        return self.recipes[name]

    @property
    def known_rewards(self) -> dict[str, str]:
        """Reward models that a request may name: what clients call one → its name in recipes."""
        specs = [spec for r in self.recipes.values() for spec in (*r.energies, *r.constraints) if spec.name in REWARD]
        models = [spec.options.get("model") for spec in specs]
        return {shown_name(model): model for model in (*self.rewards, *models) if isinstance(model, str)}

    def reward(self, name: Any, param: str) -> str:
        """The reward model that a request names.

        Raises:
            ApiError: it may not name that one.
        """
        known = self.known_rewards
        if not isinstance(name, str) or name not in known:
            raise refused(f"there is no reward {name!r} on this server ({did_you_mean(str(name), known)})", param)
        return known[name]

    def refuse_energy(self, name: Any, options: Collection[str], param: str) -> None:
        """Raises: ApiError if a request may not add this energy, or not with these options."""
        if name in self.energies:
            return
        if not isinstance(name, str) or name not in OPEN:
            known = [*OPEN, *self.energies]
            raise refused(f"there is no energy {name!r} for requests here ({did_you_mean(str(name), known)})", param)
        allowed = OPEN[name]
        for option in options:
            if option not in allowed:
                raise refused(
                    f"{param}: a request cannot set the option {option!r} of {name}"
                    + (f" ({did_you_mean(option, allowed)})" if allowed else ""),
                    f"{param}.{option}",
                )


def shown_name(model: str) -> str:
    """What clients call a model: its name, or the last part of a path."""
    is_path = Path(model).exists() or (any(mark in model for mark in "/\\~") and not is_hub_id(model))
    return Path(model).name if is_path else model


def not_found(model: str, known: Collection[str]) -> ApiError:
    """The error for a model that the server does not have."""
    return ApiError(
        404, f"the model {model!r} does not exist ({did_you_mean(model, known)})", param="model", code="model_not_found"
    )
