"""How one value of an option is checked: strictly, but with schedules and what TOML and JSON write in its place."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import Any

import pydantic
from pydantic_core import PydanticCustomError, core_schema

from sea_toolkit.errors import RecipeError
from sea_toolkit.registry.annotations import ScheduleLike, bounded_number, mentions, without_schedule
from sea_toolkit.registry.options import Option

CONFIG = pydantic.ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)
"""Every number is finite unless its annotation says `Field(allow_inf_nan=True)`: TOML can write inf and nan."""

SCHEDULE = {"type": "object", "properties": {"schedule": {"type": "string"}}, "required": ["schedule"]}
"""The JSON schema of a schedule in the place of a number; its other options depend on its name."""


class ValueRule:
    """How one value is checked: strictly, but with schedules and with the stand-ins that TOML and JSON need."""

    def __init__(self, option: Option) -> None:
        self.option = option

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return core_schema.with_info_wrap_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        plain = handler(schema)
        return {"anyOf": [plain, SCHEDULE]} if self.option.schedulable else plain

    @functools.cached_property
    def _plain(self) -> Any:
        return adapter(without_schedule(self.option.annotation))

    @functools.cached_property
    def _bounds(self) -> Any:
        bounded = bounded_number(self.option.annotation)
        return None if bounded is None else adapter(bounded)

    def _check(self, value: Any, handler: Any, info: Any) -> Any:
        if isinstance(value, ScheduleLike):
            return self._schedule(value, info.context["where"])
        try:
            return handler(value)
        except pydantic.ValidationError as error:
            refusal = error
        try:  # TOML and JSON have no tuples, paths or enums: strict JSON rules say what may stand for them
            return self._plain.validate_json(json.dumps(value), strict=True)
        except pydantic.ValidationError as error:
            # JSON's refusal names what may stand there; that of Python asks for an instance of a class
            raise (error if _depth(error) >= _depth(refusal) else refusal) from None
        except (TypeError, ValueError):  # not representable in JSON
            raise refusal from None

    def _schedule(self, schedule: ScheduleLike, where: str) -> ScheduleLike:
        if not self.option.schedulable:
            number = mentions(self.option.annotation, (int, float))
            reason = "is fixed for a run" if number else "is not a number"
            raise PydanticCustomError("schedule", "a schedule, but this option {reason}", {"reason": reason})
        if self._bounds is None:
            return schedule
        ranged = RangedSchedule(schedule, self.option, self._bounds, where)
        for progress, step in ((0.0, 0), (1.0, 1)):
            outside = ranged.outside(schedule.at(progress, step), progress)
            if outside:
                raise PydanticCustomError("schedule", "{outside}", {"outside": outside})
        return ranged


@dataclass(frozen=True)
class RangedSchedule:
    """A schedule in the place of a number that has bounds; its values have to keep them."""

    schedule: ScheduleLike
    option: Option
    bounds: Any
    where: str

    def at(self, progress: float, step: int) -> float:
        """The value at this point of the run.

        Raises:
            RecipeError: it is outside the option's bounds.
        """
        value = self.schedule.at(progress, step)
        outside = self.outside(value, progress)
        if outside:
            raise RecipeError(f"{self.where}: option {self.option.name!r} is {outside}", expected=self.option.type)
        return value

    def outside(self, value: float, progress: float) -> str:
        """Which value is outside the bounds, and where; empty if none is."""
        try:
            self.bounds.validate_python(value)
        except pydantic.ValidationError:
            return f"{value:g} at progress {progress:g} of its schedule"
        return ""


def _depth(error: pydantic.ValidationError) -> int:
    """How precisely it tells the place within the value."""
    return len(error.errors(include_url=False)[0]["loc"])


def adapter(annotation: Any) -> Any:
    """The `TypeAdapter` of an annotation."""
    try:
        return pydantic.TypeAdapter(annotation, config=CONFIG)
    except pydantic.PydanticUserError:  # a type that brings its own configuration
        return pydantic.TypeAdapter(annotation)
