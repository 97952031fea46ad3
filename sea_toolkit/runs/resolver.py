"""From names and tables of a recipe to objects: items are looked up, options checked, schedules made."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from sea_toolkit.errors import RecipeError
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.registry.items import Item
from sea_toolkit.registry.options import Option
from sea_toolkit.schedules.base import Schedule
from sea_toolkit.schedules.reactive import ReactiveSchedule


class Resolver:
    """Makes the parts of one recipe and remembers what it made them from.

    Args:
        hub: knows the plugins.

    Attributes:
        items: everything that was used, for the manifest.
        reactive: the schedules that follow the run, by their place in the recipe.
    """

    def __init__(self, hub: PluginHub) -> None:
        self.hub = hub
        self.items: list[Item] = []
        self.reactive: dict[str, ReactiveSchedule] = {}

    def find(self, kind: str, name: str, place: str) -> Item:
        """The item of this name, which the run uses.

        Raises:
            RecipeError: there is no such name, or two plugins claim it.
            PluginError: the plugin that has it is broken.
        """
        item = self.hub.get(kind, name, place)
        self.items.append(item)
        return item

    def build(self, item: Item, options: Mapping[str, Any], place: str) -> Any:
        """The item with its options; `{ schedule = … }` among them become schedules.

        Args:
            item: what is made.
            options: as the recipe has them.
            place: in the recipe, such as `energies[1]`.

        Raises:
            RecipeError: a wrong option.
            PluginError: the plugin's code failed.
        """
        taken = {option.name: option for option in item.options}
        values = {
            name: value if _is_table(value, taken.get(name)) else self.number(value, f"{place}.{name}")
            for name, value in options.items()
        }
        return item.build(values, f"{place} ({item.name})")

    def number(self, value: Any, place: str) -> Any:
        """`{ schedule = "cosine", … }` as a schedule; anything else stays what it is.

        Raises:
            RecipeError: a table that is not a schedule, an unknown schedule, or a wrong option of one.
        """
        if not isinstance(value, dict):
            return value
        if "schedule" not in value:
            raise RecipeError(
                f"{place} is a table without a schedule", expected='{ schedule = "cosine", start = 1.0, … }'
            )
        if not isinstance(value["schedule"], str):
            raise RecipeError(f"{place}.schedule is {value['schedule']!r}", expected="the name of a schedule")
        options = {k: v for k, v in value.items() if k != "schedule"}
        item = self.find("schedule", value["schedule"], place)
        built = item.build(options, f"{place} ({item.name})")
        if not inspect.isclass(item.target):
            return Schedule(item.qualified, built, owner=item.owner)
        schedule = ReactiveSchedule(item.qualified, built, owner=item.owner)
        self.reactive[place] = schedule
        return schedule


def _is_table(value: Any, option: Option | None) -> bool:
    """Whether a value is a table that the option takes as it is, and not a schedule in the place of a number."""
    schedule = isinstance(value, dict) and "schedule" in value
    return option is not None and option.table and not (schedule and option.schedulable)
