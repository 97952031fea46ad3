"""What several commands read from their flags."""

from __future__ import annotations

from typing import Any

import click

from sea_toolkit.errors import RecipeError


def value_of(text: str) -> Any:
    """A TOML value, else the text itself."""
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def weighted(text: str) -> tuple[str, float]:
    """`name=2` → ("name", 2.0); the weight is 1 if there is none.

    Raises:
        RecipeError: the weight is not a number.
    """
    name, equals, weight = text.rpartition("=")
    if not equals:
        return text, 1.0
    try:
        return name, float(weight)
    except ValueError:
        raise RecipeError(f"the weight of {name!r} is {weight!r}", expected="a number, as in sentiment=8") from None


def options_of(text: str, flag: str, example: str) -> tuple[str, dict[str, Any]]:
    """`name,key=value,…` → the name, and the values by key.

    Raises:
        RecipeError: a part between commas is not `KEY=VALUE`.
    """
    head, *rest = text.split(",")
    options: dict[str, Any] = {}
    for option in rest:
        key, equals, value = option.partition("=")
        if not equals:
            raise RecipeError(f"{flag} {text}: {option!r} is no option", expected=f"OPTION=VALUE, as in {example}")
        options[key.strip()] = value_of(value)
    return head, options


def energy_term(text: str) -> dict[str, Any]:
    """`length=0.5,target=40` → a term of the recipe."""
    head, options = options_of(text, "--energy", "target=40")
    name, weight = weighted(head)
    return {"name": name, "weight": weight, **options}


def assignment(text: str) -> tuple[str, Any]:
    """`sampler.step_size=0.2` → the path and the value, which is TOML, else a string."""
    path, equals, value = text.partition("=")
    if not equals:
        raise RecipeError(f"--set {text}", expected="KEY=VALUE, as in sampler.step_size=0.2")
    return path, value_of(value)


def template_values(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, Any] | None:
    """`KEY=VALUE` of --template-option, as a table of the recipe; None if there are none."""
    values = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise RecipeError(f"--template-option {text}", expected="KEY=VALUE, as in enable_thinking=false")
        values[key] = value_of(value)
    return values or None
