"""The options of a registered callable as one pydantic model: it checks values, and writes their JSON schema."""

from __future__ import annotations

import contextlib
import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import pydantic
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import to_jsonable_python

from sea_toolkit.errors import PluginError, RecipeError, did_you_mean
from sea_toolkit.registry.annotations import short, without_schedule
from sea_toolkit.registry.option_value import CONFIG, ValueRule, adapter
from sea_toolkit.registry.options import Option

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
            if not _can_be_written(adapter(without_schedule(option.annotation)).core_schema):
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
            self._adapters[name] = adapter(_field(self.options[name])[0])
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
    annotation = Annotated.__class_getitem__((without_schedule(option.annotation), ValueRule(option)))  # type: ignore[attr-defined]
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


class _SchemaWriter(GenerateJsonSchema):
    """Without the titles of pydantic; a type that JSON cannot write fits no value."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> Any:
        return {"not": {}}
