"""A recipe in a TOML file, or as plain data, with options of its own: a function from the options to plain data.

A table `options` names places in the recipe. It is no part of what the function returns:

    [options.words]
    sets = "energies.1.words"              # or several places, as a list
    help = "what the answer has to say"

An option without a value at its place is required; else that value is its default.
"""

from __future__ import annotations

import copy
import inspect
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from sea_toolkit.errors import RecipeError, did_you_mean
from sea_toolkit.util.json_text import parse_json
from sea_toolkit.util.plain_data import assign, plain_data, value_at
from sea_toolkit.util.text_files import decoded, read_text
from sea_toolkit.util.toml_text import parse_toml

FILE, RUN = ".toml", ".json"
"""What the names of recipes' files end in: one that a person writes, and the `recipe.json` of a run."""

TABLE = "options"
_MISSING = inspect.Parameter.empty


@dataclass(frozen=True)
class _Place:
    """An option of a recipe: the places that it sets, and what it means."""

    sets: tuple[str, ...]
    help: str


class RecipeFile:
    """A recipe with its options; called with their values, it gives plain data.

    Args:
        data: of the whole recipe; its `options` are taken out.
        where: names it in errors.
        about: what it is, in a paragraph.

    Raises:
        RecipeError: an option that sets nothing, or a place that is not in the recipe.
    """

    def __init__(self, data: Mapping[str, Any], where: str, about: str = "") -> None:
        self.data, self.where = {key: value for key, value in data.items() if key != TABLE}, where
        self.places = _places(data.get(TABLE, {}), where)
        self.__name__ = where
        defaults = {name: self._default(name, place) for name, place in self.places.items()}
        self.__signature__ = inspect.Signature([_parameter(name, default) for name, default in defaults.items()])
        lines = [f"    {name}: {place.help}" for name, place in self.places.items()]
        self.__doc__ = "\n".join([about or "A recipe in TOML.", "", "Args:", *lines])
        self.required = [name for name, default in defaults.items() if default is _MISSING]

    def __call__(self, **values: Any) -> dict[str, Any]:
        """The recipe's data with the values in their places.

        Raises:
            RecipeError: an unknown option, or one without a value.
        """
        for name in values:
            if name not in self.places:
                raise RecipeError(f"{self.where}: unknown option {name!r}", hint=did_you_mean(name, self.places))
        missing = [name for name in self.required if name not in values]
        if missing:
            helps = [self.places[name].help for name in missing]
            listed = ", ".join(f"{n} ({text})" if text else n for n, text in zip(missing, helps, strict=True))
            raise RecipeError(
                f"{self.where} needs {listed}",
                expected="a value for it" if len(missing) == 1 else "a value for each of them",
                hint=f"--recipe {self.where},{','.join(f'{name}=…' for name in missing)}; in Python "
                f'recipe={{"name": "{self.where}", {", ".join(f""""{name}": …""" for name in missing)}}}',
            )
        data = copy.deepcopy(self.data)
        for name, value in values.items():
            for place in self.places[name].sets:
                assign(data, place, value, self.where)
        return data

    def _default(self, name: str, place: _Place) -> Any:
        for path in place.sets:  # refuses a path that leads nowhere
            assign(copy.deepcopy(self.data), path, 0, f"{self.where}, option {name!r}")
        return value_at(self.data, place.sets[0], _MISSING)


def _parameter(name: str, default: Any) -> inspect.Parameter:
    """An option as that of a function; the place that it sets checks its value."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Any)


def _places(table: Any, where: str) -> dict[str, _Place]:
    """The table of options, checked."""
    if not isinstance(table, Mapping):
        raise RecipeError(f"{where}: {TABLE} is {table!r}", expected="a table of options")
    found = {}
    for name, entry in table.items():
        place = f"{where}: {TABLE}.{name}"
        if not str(name).isidentifier() or name == "name":
            raise RecipeError(f"{place} cannot be set by its name", expected="letters, digits and _, and not `name`")
        known = {"sets", "help"}
        if not isinstance(entry, Mapping) or "sets" not in entry:
            raise RecipeError(f"{place} sets nothing", expected='{ sets = "energies.1.weight", help = "…" }')
        for key in entry.keys() - known:
            raise RecipeError(f"{place}: unknown key {key!r}", hint=did_you_mean(str(key), known))
        sets = [entry["sets"]] if isinstance(entry["sets"], str) else entry["sets"]
        if not (isinstance(sets, list) and sets and all(isinstance(path, str) and path for path in sets)):
            raise RecipeError(f"{place}.sets is {entry['sets']!r}", expected="a place in the recipe, or a list of them")
        if not isinstance(entry.get("help", ""), str):
            raise RecipeError(f"{place}.help is {entry['help']!r}", expected="a line of text")
        found[name] = _Place(tuple(sets), " ".join(entry.get("help", "").split()))
    return found


def packaged(package: str, file: str) -> RecipeFile:
    """The recipe in a file of a package, which is imported.

    Raises:
        ImportError: there is no such package.
        RecipeError: the file cannot be read, or is no recipe.
    """
    where, name = f"{package}:{file}", file.rpartition("/")[2].removesuffix(FILE)
    try:
        content = resources.files(package).joinpath(file).read_bytes()
    except OSError as error:
        raise RecipeError(
            f"{where} cannot be read: {error.strerror or error}", expected="a file of the package"
        ) from error
    text = decoded(content, where)
    return RecipeFile(_parsed(text, where), name, _head(text))


def recipe_in(path: Path) -> RecipeFile:
    """The recipe in a TOML file, or in the `recipe.json` of a run's folder.

    Raises:
        RecipeError: it cannot be read, or is no recipe.
    """
    return RecipeFile(_parsed(read_text(path), str(path), is_json=path.suffix == RUN), str(path))


def _head(text: str) -> str:
    """The comment at the beginning of a file, on one line."""
    comments = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    return " ".join(" ".join(line.lstrip("#") for line in comments).split())


def _parsed(text: str, where: str, *, is_json: bool = False) -> dict[str, Any]:
    try:
        data = parse_json(text, each_key_once=True)["recipe"] if is_json else parse_toml(text)
        if not isinstance(data, dict):
            raise TypeError(f"its recipe is a {type(data).__name__}")
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise RecipeError(
            f"{where} is {'no recipe.json of a run' if is_json else 'not TOML'}: {reason}",
            hint="see docs/recipes.md for an example",
        ) from error
    kept: dict[str, Any] = plain_data(data, where)  # refuses what is nested too deep
    return kept
