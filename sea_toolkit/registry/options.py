"""The options of a registered callable, ready to list; `option_model` checks values against them."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sea_toolkit.registry.annotations import Number, ScheduleLike, mentions, model_class, printable, takes_table
from sea_toolkit.registry.docstrings import argument_docs
from sea_toolkit.registry.signatures import option_parameters

__all__ = ["CALLED_EACH_STEP", "Number", "Option", "ScheduleLike", "options_of"]

CALLED_EACH_STEP = frozenset({"energy", "relaxation"})
"""Kinds whose functions get their numbers anew before each call, so that each number may follow a schedule."""


@dataclass(frozen=True)
class Option:
    """One option of a registered item.

    Attributes:
        name: of the parameter.
        annotation: its type, as an object; `type` is the same as a person reads it.
        default: None for a required option.
        required: it has no default.
        doc: its text in the docstring.
        schedulable: a schedule may stand in the place of the number.
        made: the class makes its default anew for each instance; it is passed only if a value is given.
        table: it takes a table that is not a schedule.
    """

    name: str
    annotation: Any
    default: Any
    required: bool
    doc: str
    schedulable: bool = False
    made: bool = False

    @property
    def type(self) -> str:
        """The annotation as a person reads it."""
        return printable(self.annotation)

    @property
    def table(self) -> bool:
        """Whether it takes a table that is not a schedule."""
        return takes_table(self.annotation)


def options_of(target: Any, kind: str) -> list[Option]:
    """The options of a registered callable, in the order of its signature.

    Args:
        target: a registered function or class.
        kind: its item kind; it decides whether a number may be a schedule.

    Raises:
        PluginError: an annotation cannot be resolved.
    """
    docs: Mapping[str, str] = argument_docs(target)
    anew = kind in CALLED_EACH_STEP and not inspect.isclass(target)
    factories = _factories(target)
    options = []
    for name, parameter in option_parameters(target).items():
        required = parameter.default is parameter.empty
        schedulable = mentions(parameter.annotation, (ScheduleLike, int, float) if anew else (ScheduleLike,))
        default = factories[name]() if name in factories else None if required else parameter.default
        doc, made = docs.get(name, ""), name in factories
        options.append(Option(name, parameter.annotation, default, required, doc, schedulable, made))
    return options


def _factories(target: Any) -> dict[str, Callable[[], Any]]:
    """What makes the defaults of a dataclass or a pydantic model, by the name of the field."""
    model = model_class()
    if not inspect.isclass(target):
        return {}
    if model is not None and issubclass(target, model):
        fields = target.model_fields.items()
        return {
            name: partial(field.get_default, call_default_factory=True)
            for name, field in fields
            if field.default_factory
        }
    if not dataclasses.is_dataclass(target):
        return {}
    own = {f.name: f.default_factory for f in dataclasses.fields(target)}
    return {name: factory for name, factory in own.items() if factory is not dataclasses.MISSING}
