"""What the name of a reward means: a reward model, or an energy that is a reward."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sea_toolkit.errors import RecipeError
from sea_toolkit.models.resolve import model_of
from sea_toolkit.registry.allowed import is_url
from sea_toolkit.registry.allowed_code import names_function
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.registry.records import CORE
from sea_toolkit.runs.recipe import ConstraintSpec, EnergySpec
from sea_toolkit.util.paths import user_path

REWARD = ("reward", f"{CORE}:reward")


def meant(spec: EnergySpec | ConstraintSpec, hub: PluginHub) -> tuple[str, dict[str, Any], bool]:
    """The energy that a term of the recipe means.

    `{ name = "reward", model = "formality" }` is the energy `formality` where no reward model is called so, and a URL
    in the place of the model is the energy `remote-reward`; a Python function, `file.py:function`, is the `verifier`.

    Args:
        spec: the term.
        hub: knows models and energies.

    Returns:
        The energy's name, its options, and whether it has to be a reward.

    Raises:
        RecipeError: the name is that of a reward model.
    """
    options = spec.options
    if spec.name in REWARD:
        model = options.get("model")
        if isinstance(model, str) and is_url(model):
            return f"{CORE}:remote-reward", {"url": model, **_without_model(options)}, True
        if isinstance(model, str) and is_energy(model, hub):
            return model, _without_model(options), True
        if isinstance(model, str) and names_function(model) and not hub.find(model, "model"):
            return f"{CORE}:verifier", {"function": model, **_without_model(options)}, True
    elif not hub.find(spec.name, "energy") and _is_reward_model(spec.name, hub):
        raise RecipeError(
            f"{spec.name!r} is a reward model, not an energy",
            expected="the energy `reward`, with it as its model",
            hint=call("reward", spec),
        )
    return spec.name, options, False


def _without_model(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != "model"}


def no_reward(name: str, spec: EnergySpec | ConstraintSpec) -> RecipeError:
    """The error for an energy that was asked for as a reward."""
    return RecipeError(
        f"{name!r} is an energy, and no reward",
        expected="a reward model, or an energy whose negative is a reward",
        hint=call("energy", spec, name),
    )


def call(flag: str, spec: EnergySpec | ConstraintSpec, name: str | None = None) -> str:
    """The flag that asks for the term by the right word; of a constraint, for which there is none, its keys."""
    if isinstance(spec, ConstraintSpec):
        model = f', model = "{name or spec.name}"' if flag == "reward" else ""
        return f'name = "{"reward" if model else name or spec.name}"{model}'
    weight = f"={spec.weight:g}" if isinstance(spec.weight, float | int) else ""
    return f"--{flag} {name or spec.name}{weight}"


def _is_reward_model(name: str, hub: PluginHub) -> bool:
    return any(model_of(item).role == "reward" for item in hub.find(name, "model"))


def is_energy(model: str, hub: PluginHub) -> bool:
    """Whether the name of a reward is that of an energy, and of no reward model."""
    return not _is_place(model) and not hub.find(model, "model") and bool(hub.find_anywhere(model, "energy"))


def _is_place(model: str) -> bool:
    """Whether it can only be a file, a folder or a Hugging Face id."""
    return any(mark in model for mark in "/\\~") or user_path(model, "the name of the reward").exists()
