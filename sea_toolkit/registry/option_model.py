"""The options of a registered callable as one pydantic model: it checks values, and writes their JSON schema."""

from __future__ import annotations

import contextlib
import difflib
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import pydantic
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticCustomError, core_schema, to_jsonable_python

from sea_toolkit.errors import PluginError, RecipeError, did_you_mean
from sea_toolkit.registry.annotations import ScheduleLike, bounded_number, mentions, short, without_schedule
from sea_toolkit.registry.options import Option

CONFIG = pydantic.ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)
"""Every number is finite unless its annotation says `Field(allow_inf_nan=True)`: TOML can write inf and nan."""

SCHEDULE = {"type": "object", "properties": {"schedule": {"type": "string"}}, "required": ["schedule"]}
"""The JSON schema of a schedule in the place of a number; its other options depend on its name."""

_OF_TABLES = frozenset({"dict_type", "model_type", "model_attributes_type", "dataclass_type"})
"""Mistakes that pydantic tells in the words of Python's classes."""


class OptionModel:
    """What a recipe may set of one item.

    Args:
        options: as `options_of` lists them.

    Raises:
        PluginError: the type of an option is one that neither TOML nor JSON can write, such as a tensor or a function.
    """

    def __init__(self, options: Sequence[Option]) -> None:
        self.options = {option.name: option for option in options}
        # A parameter may have any name, a field of a model may not: the names of the options are aliases.
        self._fields = {name: f"option_{i}" for i, name in enumerate(self.options)}
        fields: dict[str, Any] = {self._fields[name]: _field(option) for name, option in self.options.items()}
        self._adapters: dict[str, Any] = {}
        self.model = pydantic.create_model("Options", __config__=CONFIG, **fields)
        for option in options:
            if not _can_be_written(_adapter(without_schedule(option.annotation)).core_schema):
                raise PluginError(
                    f"option {option.name!r} is {option.type}, and no recipe can write one",
                    expected="a number, a text, a truth value, or a list or table of them",
                    hint="take the name as a text and look it up, or make it no parameter",
                )

    def check(self, values: Mapping[str, Any], where: str) -> dict[str, Any]:
        """The values checked, with the defaults filled in.

        Args:
            values: option name to value, as a recipe or a caller gave them.
            where: what to call the place in messages, such as `energies[1] (reward)`.

        Raises:
            RecipeError: unknown or missing options, values of the wrong type, a schedule where none can be. All
                mistakes are reported at once.
        """
        try:
            checked = self.model.model_validate(dict(values), strict=True, context={"where": where})
        except pydantic.ValidationError as error:
            raise _refusal(self._mistakes(error, values), where) from None
        return {
            name: getattr(checked, self._fields[name]) if name in values else option.default
            for name, option in self.options.items()
            if name in values or not option.made
        }

    def takes(self, name: str, value: Any) -> bool:
        """Whether `check` would take a value for one option, by itself; an option that there is not takes none."""
        if name not in self.options:
            return False
        if name not in self._adapters:
            self._adapters[name] = _adapter(_field(self.options[name])[0])
        try:
            self._adapters[name].validate_python(value, strict=True, context={"where": name})
        except pydantic.ValidationError:
            return False
        return True

    def schema(self) -> dict[str, Any]:
        """The JSON schema of a table of options."""
        return self.model.model_json_schema(schema_generator=_SchemaWriter)

    def _mistakes(self, error: pydantic.ValidationError, values: Mapping[str, Any]) -> list[_Mistake]:
        unknown: list[str] = []
        missing: list[str] = []
        wrong: dict[str, _Mistake] = {}
        for detail in error.errors(include_url=False):
            name = detail["loc"][0]
            if detail["type"] == "missing" and len(detail["loc"]) == 1:
                missing.append(str(name))
            elif name in self.options:
                wrong.setdefault(str(name), self._wrong(str(name), detail, values))
            else:
                unknown.append(str(name))
        mistakes = [_Mistake(f"unknown option {name!r}", hint=did_you_mean(name, self.options)) for name in unknown]
        mistakes += wrong.values()
        missing = [name for name in missing if not difflib.get_close_matches(name, unknown, cutoff=0.55)]
        if missing:
            listed = ", ".join(f"{name} ({self.options[name].type})" for name in missing)
            got = f"missing option{'s' if len(missing) > 1 else ''} {listed}"
            mistakes.append(_Mistake(got, expected="a value for each option without a default"))
        return mistakes

    def _wrong(self, name: str, detail: Any, values: Mapping[str, Any]) -> _Mistake:
        kind = self.options[name].type
        if detail["type"] == "schedule":
            return _Mistake(f"option {name!r} is {detail['msg']}", expected=kind)
        wanted = "input should be a table" if detail["type"] in _OF_TABLES else detail["msg"].lower()
        place = "".join(f"[{key!r}]" for key in detail["loc"] if isinstance(key, int))
        return _Mistake(f"option {name!r}{place} is {short(values[name])}", f"{kind} ({wanted})")


@dataclass(frozen=True)
class _Mistake:
    got: str
    expected: str | None = None
    hint: str | None = None


def _refusal(mistakes: Sequence[_Mistake], where: str) -> RecipeError:
    if len(mistakes) == 1:
        (only,) = mistakes
        return RecipeError(f"{where}: {only.got}", expected=only.expected, hint=only.hint)
    lines = [f"{where}: {len(mistakes)} mistakes in the options"]
    for mistake in mistakes:
        expected = f"; expected: {mistake.expected}" if mistake.expected else ""
        lines.append(f"- {mistake.got}{expected}" + (f"; {mistake.hint}" if mistake.hint else ""))
    return RecipeError("\n".join(lines))


def _field(option: Option) -> tuple[Any, Any]:
    annotation = Annotated.__class_getitem__((without_schedule(option.annotation), _Rule(option)))  # type: ignore[attr-defined]
    if option.required:
        return annotation, pydantic.Field(alias=option.name, description=option.doc or None)
    extra: dict[str, Any] = {}
    with contextlib.suppress(ValueError):  # a default that JSON cannot write
        extra["default"] = json.loads(json.dumps(to_jsonable_python(option.default), allow_nan=False))
    return annotation, pydantic.Field(
        alias=option.name,
        description=option.doc or None,
        default_factory=lambda: option.default,
        json_schema_extra=extra,
    )


class _Rule:
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
        return _adapter(without_schedule(self.option.annotation))

    @functools.cached_property
    def _bounds(self) -> Any:
        bounded = bounded_number(self.option.annotation)
        return None if bounded is None else _adapter(bounded)

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


def _can_be_written(schema: Any) -> bool:
    """Whether JSON has a value, besides null, that this schema of pydantic takes."""
    kind = schema["type"]
    if kind in ("is-instance", "is-subclass", "callable", "none", "custom-error"):
        return False
    if kind == "union":
        return any(_can_be_written(c[0] if isinstance(c, tuple) else c) for c in schema["choices"])
    if kind in ("list", "set", "frozenset", "generator"):
        return "items_schema" not in schema or _can_be_written(schema["items_schema"])
    if kind == "tuple":
        return all(map(_can_be_written, schema["items_schema"]))
    if kind == "dict":
        return "values_schema" not in schema or _can_be_written(schema["values_schema"])
    if kind == "json-or-python":
        return _can_be_written(schema["json_schema"])
    inner = schema.get("schema")
    wraps = kind in ("nullable", "definitions", "default") or kind.startswith("function-")
    return _can_be_written(inner) if wraps and inner is not None else True


def _adapter(annotation: Any) -> Any:
    """The `TypeAdapter` of an annotation."""
    try:
        return pydantic.TypeAdapter(annotation, config=CONFIG)
    except pydantic.PydanticUserError:  # a type that brings its own configuration
        return pydantic.TypeAdapter(annotation)


class _SchemaWriter(GenerateJsonSchema):
    """Without the titles of pydantic; a type that JSON cannot write fits no value."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> Any:
        return {"not": {}}
