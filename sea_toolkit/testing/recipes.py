"""`check_recipe`: a recipe by name composes as it is, and is names and numbers alone."""

from __future__ import annotations

import copy
from typing import Any

from sea_toolkit.registry.allowed import Allowed
from sea_toolkit.runs.compose import compose
from sea_toolkit.runs.named_recipes import recipe_of
from sea_toolkit.testing.conformance import reported, require
from sea_toolkit.testing.setting import Setting, under_test
from sea_toolkit.util.toml_text import document, parse_toml

PROPERTIES = {
    "builds": "it registers, takes these options, and gives the data of a recipe",
    "plain": "names and numbers alone: written as TOML and read again, it is the same",
    "pure": "the same options give the same recipe",
    "composes": "its names and options are there, its limits can be kept, and some term tells answers apart",
}
"""What a recipe promises, in the order of the documentation."""


@reported
def check_recipe(recipe: Any, setting: Setting | None = None, /, **options: Any) -> tuple[str, ...]:
    """Check a recipe with values for its options. No model is loaded; functions and servers that it names are allowed.

    Args:
        recipe: the function that is registered, a TOML file as a `Path`, or the name of an installed recipe.
        setting: `lacks` and `hub` count here.
        **options: of the recipe.

    Returns:
        The names of the properties that hold.

    Raises:
        ConformanceError: one does not; it is named.
    """
    setting = setting or Setting()
    with under_test("recipe", recipe, PROPERTIES, setting) as (checks, hub, item):
        with checks("builds"):
            made = recipe_of(item, copy.deepcopy(options))
        data = made.model_dump(exclude_unset=True)
        with checks("plain"):
            again = parse_toml(document(data))
            require(again == _listed(data), "TOML gives it back otherwise", hint="numbers, texts, lists and tables")
        with checks("pure"):
            other = recipe_of(item, copy.deepcopy(options))
            require(other == made, "the same options give another recipe the second time")
        with checks("composes"):
            compose(made, hub, allowed=_everything(made))
    return checks.result


def _listed(value: Any) -> Any:
    """The data with lists in the place of tuples, as TOML has them."""
    if isinstance(value, dict):
        return {key: _listed(entry) for key, entry in value.items()}
    return [_listed(entry) for entry in value] if isinstance(value, list | tuple) else value


def _everything(recipe: Any) -> Allowed:
    """Leave to run the functions, and to ask the servers, that the terms name: nothing is run or asked here."""
    options = [term.options for term in (*recipe.energies, *recipe.constraints)]
    names = [str(o[key]) for o in options for key in ("function", "model", "url") if key in o]
    return Allowed(tuple(names), tuple(names))
