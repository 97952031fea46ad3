"""From what a user writes after `--recipe` to a recipe: a name of the box or of a plugin, a file, or plain data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sea_toolkit.errors import PluginError, RecipeError
from sea_toolkit.registry.blame import attribute_errors_to
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.registry.items import Item
from sea_toolkit.registry.recipe_file import FILE, RUN, RecipeFile, recipe_in
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.util.paths import user_path

RecipeSource = Recipe | Mapping[str, Any] | str | Path
"""A recipe, its plain data, a TOML file, the name of a recipe, or a table of such a file's or recipe's `name` and
options."""

NAME = "name"
"""The key that tells a recipe by name from plain data, which has no such key."""


def read_recipe(source: RecipeSource, hub: PluginHub | None = None) -> Recipe:
    """The recipe that is meant.

    A name wins over a file of the same name in the current folder, as that of a model does: `./NAME` is the file.

    Args:
        source: see `RecipeSource`.
        hub: knows the recipes; by default all plugins that are installed.

    Raises:
        RecipeError: no such recipe or file, a wrong option or a missing one, or as `Recipe.parse`.
        PluginError: the plugin that has the recipe is broken.
    """
    if isinstance(source, Recipe):
        return source
    if isinstance(source, Mapping):
        if NAME not in source:
            return Recipe.parse(dict(source))
        named, options = source[NAME], {key: value for key, value in source.items() if key != NAME}
    else:
        named, options = source, dict[str, Any]()
    if not isinstance(named, str | Path):
        raise RecipeError(f"the name of the recipe is {named!r}", expected="a name, or a TOML file")
    path = user_path(named, "the name of the recipe")
    if is_file(named):
        return Recipe.parse(recipe_in(path)(**options), where=str(path))
    hub, name = hub or PluginHub.discover(), str(named)
    if not hub.find(name, "recipe") and path.exists():
        return Recipe.parse(recipe_in(path)(**options), where=str(path))
    return recipe_of(_found(name, hub), options)


def is_file(named: str | Path) -> bool:
    """Whether it can only be a file: it says so by its ending, or by a folder before it."""
    written = str(named)
    return isinstance(named, Path) or written.endswith((FILE, RUN)) or any(mark in written for mark in "/\\~")


def recipe_of(item: Item, options: Mapping[str, Any]) -> Recipe:
    """A registered recipe with values for its options.

    Raises:
        RecipeError: a wrong option, a missing one, or as `Recipe.parse` for a value that does not fit.
        PluginError: its file cannot be read, or its function failed or returned no recipe.
    """
    target = item.target
    if isinstance(target, RecipeFile):
        data: Any = target(**options)
    else:
        make = item.build(options, f"recipe {item.name}")
        with attribute_errors_to(item.owner, "failed", user_errors_pass=True):
            data = make()
    with attribute_errors_to(item.owner, user_errors_pass=bool(options)):
        if not isinstance(data, Mapping):
            raise PluginError(f"returned a {type(data).__name__}", expected="the data of a recipe, a dict")
        return Recipe.parse(dict(data), where=item.name)


def _found(name: str, hub: PluginHub) -> Item:
    try:
        return hub.get("recipe", name)
    except RecipeError as error:
        raise RecipeError(
            error.got,
            expected=error.expected or f"a name (sea-toolkit recipe list), or a file NAME{FILE}",
            hint=error.hint,
        ) from error
