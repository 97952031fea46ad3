"""The options of a registered callable, ready to list; `option_model` checks values against them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sea_toolkit.registry.annotations import Number, ScheduleLike, mentions, printable, takes_table
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
        table: it takes a table that is not a schedule.
    """

    name: str
    annotation: Any
    default: Any
    required: bool
    doc: str
    schedulable: bool = False

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
    options = []
    for name, parameter in option_parameters(target).items():
        required = parameter.default is parameter.empty
        schedulable = mentions(parameter.annotation, (ScheduleLike, int, float) if anew else (ScheduleLike,))
        options.append(
            Option(
                name,
                parameter.annotation,
                None if required else parameter.default,
                required,
                docs.get(name, ""),
                schedulable,
            )
        )
    return options
