"""Options of an energy that come from columns of the prompts' table: `target = { column = "words" }`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sea_toolkit.errors import RecipeError, shortened
from sea_toolkit.problem.columns import Columns, cell, columns_of
from sea_toolkit.problem.energy import Energy
from sea_toolkit.problem.functions import FunctionForm
from sea_toolkit.problem.per_prompt import PerPrompt
from sea_toolkit.registry.items import Item
from sea_toolkit.util.json_text import parse_json

COLUMN = "column"
"""The one key of a table that stands for a cell."""

Options = Mapping[str, Any]


def names_column(value: Any) -> bool:
    """Whether a value is `{ column = "NAME" }`."""
    return isinstance(value, Mapping) and list(value) == [COLUMN] and isinstance(value[COLUMN], str)


def columns_in(value: Any) -> Iterator[str]:
    """The columns that a value, or a part of it, comes from."""
    if names_column(value):
        yield value[COLUMN]
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from columns_in(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from columns_in(part)


@dataclass
class OptionColumns:
    """From rows of the prompts' table to the energies of their options.

    Attributes:
        options: as the recipe has them, `{ column = … }` among them.
        item: the energy.
        where: the term, for messages, such as `energies[1] (length)`.
        build: makes an energy of given options, with all checks; it tells too whether one follows a schedule.
        is_time_dependent: an option of an energy that was made follows a schedule.
    """

    options: Options
    item: Item
    where: str
    build: Callable[[Options], tuple[Energy, bool]]
    is_time_dependent: bool = False
    _built: dict[str, Energy] = field(default_factory=dict)

    @property
    def names(self) -> dict[str, list[str]]:
        """The options that come from columns, and their columns."""
        found = {name: list(dict.fromkeys(columns_in(value))) for name, value in self.options.items()}
        return {name: columns for name, columns in found.items() if columns}

    def energy(self, prompts: Sequence[str] = ()) -> PerPrompt:
        """The energy of these prompts; without any, one that tells what is known before.

        Raises:
            RecipeError: a prompt's cell is missing or blank, or no value of its option.
            PluginError: the plugin's code failed.
        """
        instances: dict[str, Energy] = {}
        for number, prompt in enumerate(prompts, 1):
            for option, columns in self.names.items():
                for column in columns:
                    cell(prompt, number, column, f"{self.where}: option {option!r}")
            key = self._key(prompt)
            if key not in self._built:
                self._built[key] = self._of(prompt, number)
            instances[key] = self._built[key]
        used = tuple(dict.fromkeys(column for columns in self.names.values() for column in columns))
        differentiable, joint = self._stated
        return PerPrompt(
            self.where, self.item.owner, self._key, instances, Columns(used), differentiable=differentiable, joint=joint
        )

    @property
    def _stated(self) -> tuple[bool | None, bool]:
        """Whether the energy has a gradient and is one of all chains, as far as its class or function says."""
        target = self.item.target
        if inspect.isclass(target):
            return (target.differentiable, target.joint) if issubclass(target, Energy) else (None, False)
        return not FunctionForm(target, [option.name for option in self.item.options]).reads_text, False

    def _key(self, prompt: str) -> str:
        row = columns_of(prompt)
        return repr([[row.get(column) for column in columns] for columns in self.names.values()])

    def _of(self, prompt: str, number: int) -> Energy:
        row = columns_of(prompt)
        options = {name: self._value(name, value, row) for name, value in self.options.items()}
        try:
            energy, follows = self.build(options)
        except RecipeError as error:
            names = [repr(column) for columns in self.names.values() for column in columns]
            shown = f"prompt {number} ({shortened(repr(str(prompt)), 40)}), column{'s' * (len(names) > 1)}"
            raise RecipeError(
                f"{shown} {' and '.join(names)}: {error.got}", expected=error.expected, hint=error.hint
            ) from error
        self.is_time_dependent = self.is_time_dependent or follows
        return energy

    def _value(self, name: str, value: Any, row: Options) -> Any:
        """An option's value in a row: a text cell is what it says where the option takes no text."""
        if name not in self.names:
            return value
        plain = _filled(value, row, lambda found: found)
        if self.item.option_model.takes(name, plain):
            return plain
        return _filled(value, row, _written)


def _filled(value: Any, row: Options, read: Callable[[Any], Any]) -> Any:
    """A value with the row's cells in the places of columns."""
    if names_column(value):
        return read(row[value[COLUMN]])
    if isinstance(value, Mapping):
        return {key: _filled(part, row, read) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(part, row, read) for part in value]
    return value


def _written(found: Any) -> Any:
    """The JSON value that a text cell writes, such as a number or a list; the text itself where it writes none."""
    if not isinstance(found, str):
        return found
    try:
        return parse_json({"True": "true", "False": "false"}.get(found.strip(), found))
    except ValueError:
        return found
