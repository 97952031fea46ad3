"""The limits of a recipe: what a table of `constraints` asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sea_toolkit.errors import RecipeError
from sea_toolkit.problem.columns import column_in
from sea_toolkit.problem.limits import End, Limit
from sea_toolkit.runs.recipe import ConstraintSpec

HINGE_WEIGHT = 100.0
"""Nats per unit outside, where a hinge sets no weight."""


def limit_of(spec: ConstraintSpec, place: str) -> Limit:
    """The limit of a constraint.

    Raises:
        RecipeError: it has no limit, one that no number keeps, or a weight beside a multiplier.
    """
    where = f"{place} ({spec.name})"
    if spec.min is None and spec.max is None:
        raise RecipeError(f"{where} has no limit", expected="min, max or both")
    low, high = (_end(value, f"{place}.{name}") for name, value in (("min", spec.min), ("max", spec.max)))
    if isinstance(low, float) and isinstance(high, float) and low > high:
        raise RecipeError(f"{where}: min = {low:g} is above max = {high:g}")
    if spec.weight is not None and spec.method == "multiplier":
        raise RecipeError(
            f"{where} has a weight, and how much a limit weighs is found by the run",
            expected="no weight",
            hint='method = "hinge" for a fixed number of nats per unit outside',
        )
    return Limit(low, high, spec.method)


def weight_of_limit(spec: ConstraintSpec) -> Any:
    """What its share of the energy is multiplied by: of a hinge nats per unit outside."""
    if spec.method == "multiplier":
        return 1.0
    return HINGE_WEIGHT if spec.weight is None else spec.weight


def what_is_read(item: str, options: Mapping[str, Any]) -> str:
    """The same text for limits on the same reading.

    Args:
        item: the energy, as `distribution:name`.
        options: its options.
    """
    return json.dumps([item, dict(options)], sort_keys=True, default=repr)


def _end(value: float | dict[str, Any] | None, place: str) -> End:
    return column_in(value, place) if isinstance(value, dict) else value
