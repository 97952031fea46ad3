"""Data of recipes and tables: texts, numbers, lists and tables, of a depth and size that a person writes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from sea_toolkit.errors import RecipeError
from sea_toolkit.util.unicode import require_unicode

DEEPEST, MOST_KEYS = 64, 10_000
"""Levels of lists and tables, and keys of one table."""


def plain_data(value: Any, where: str) -> Any:
    """The same data with numbers of numpy as numbers of Python, its arrays as lists, and paths as texts.

    Args:
        value: texts, numbers, lists and tables; other values stay what they are.
        where: names it in errors.

    Raises:
        RecipeError: a text that UTF-8 cannot write, too many levels, or too many keys in a table.
    """
    return _plain(value, (), where)


def _plain(value: Any, path: tuple[str | int, ...], where: str) -> Any:
    if len(path) > DEEPEST:
        raise RecipeError(f"{where} is nested too deep", expected=f"at most {DEEPEST} levels of lists and tables")
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic | numpy.ndarray):
        value = value.tolist()
    if isinstance(value, str):
        if not value.isascii():
            require_unicode(value, _place(path, where))
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        if len(value) > MOST_KEYS:
            raise RecipeError(
                f"{_place(path, where)} has {len(value)} keys", expected=f"at most {MOST_KEYS} in one table"
            )
        return {_key(key, path, where): _plain(entry, (*path, key), where) for key, entry in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_plain(entry, (*path, i), where) for i, entry in enumerate(value, 1))
    return value


def _key(key: Any, path: tuple[str | int, ...], where: str) -> Any:
    if isinstance(key, str) and not key.isascii():
        require_unicode(key, f"a key of {_place(path, where)}")
    return key


def _place(path: tuple[str | int, ...], where: str) -> str:
    names = [f"entry {part}" if isinstance(part, int) else str(part)[:80] for part in reversed(path)]
    return " of ".join([*names, where])


def assign(data: dict[str, Any], path: str, value: Any, where: str) -> None:
    """Lay one value over the data of a recipe.

    Args:
        data: changed in place.
        path: keys and numbers of entries with dots between, such as `energies.0.weight`.
        value: the new value.
        where: who asks, for messages.

    Raises:
        RecipeError: the path leads nowhere.
    """
    *parents, last = path.split(".")
    place: Any = data
    for key in parents:
        if isinstance(place, list):
            place = place[int(key)] if key.isdecimal() and int(key) < len(place) else None
        else:
            place = place.setdefault(key, {}) if isinstance(place, dict) else None
        if not isinstance(place, dict | list):
            raise RecipeError(
                f"{where} {path}: {key!r} holds no keys", hint="as in sampler.step_size or energies.0.weight"
            )
    if isinstance(place, dict):
        place[last] = value
    elif last.isdecimal() and int(last) < len(place):
        place[int(last)] = value
    else:
        raise RecipeError(f"{where} {path}: there is no entry {last!r}", expected=f"0 to {len(place) - 1}")


def value_at(data: Any, path: str, otherwise: Any) -> Any:
    """What stands at a path of `assign`, or `otherwise` where nothing does."""
    for key in path.split("."):
        if isinstance(data, dict) and key in data:
            data = data[key]
        elif isinstance(data, list) and key.isdecimal() and int(key) < len(data):
            data = data[int(key)]
        else:
            return otherwise
    return data
